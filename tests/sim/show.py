"""A history as a table that a person can follow."""

import re
from collections.abc import Iterator
from typing import Final

from .history import Outcome

QUIET: Final = ("idem-",)
"""Of what nothing is shown."""
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def table(outcome: Outcome) -> Iterator[str]:
    """Yield the lines: the plan's setting, what happened, what was violated."""
    plan = outcome.plan
    yield f"seed {plan.seed}: {plan.setting}"
    faults = [event for event in plan.events if event.is_fault]
    yield f"{len(plan.events) - len(faults)} actions; faults: {', '.join(f'{e.what} at {e.at:.1f}' for e in faults)}"
    short = _Names()
    yield f"{'time':>9}  {'who':<12} {'what':<28} {'on what':<44} outcome"
    for at, who, what, on, said in outcome.stage.cluster.trace:
        if not any(word in on for word in QUIET):
            yield f"{at:9.3f}  {who:<12} {what:<28} {short.of(on):<44} {short.of(said)}".rstrip()
    for at, what in outcome.violations:
        yield f"VIOLATION at {at:.3f}: {short.of(what)}"
    if not outcome.violations:
        yield f"no violation; {outcome.leases} leases in {outcome.seconds:.0f} s"


class _Names:
    """Gives every id a short name, in the order in which they turn up."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def of(self, text: str) -> str:
        """Return a text with its ids shortened."""
        return _ID.sub(lambda found: self._names.setdefault(found[0], f"#{len(self._names) + 1}"), text)
