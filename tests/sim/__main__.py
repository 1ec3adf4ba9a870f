"""``make prove``: plays histories, or one as a table. The environment says which; README.md lists the variables."""

import json
import os
import sys
from typing import Final

from . import clocks

HASHES: Final = "PYTHONHASHSEED"


def main() -> int:
    """Return the exit status: 1 where an invariant was broken."""
    if os.environ.get(HASHES) != "0":  # sets of strings have one order in all runs
        os.execve(sys.executable, [sys.executable, "-m", "tests.sim", *sys.argv[1:]], os.environ | {HASHES: "0"})  # noqa: S606 (itself)
    which, seed = os.environ.get("SET") or "core", int(os.environ.get("SEED") or 1)
    words = os.environ.get("FAULTS")
    faults = tuple(word for word in words.split(",") if word not in ("", "none")) if words else None
    if number := os.environ.get("HISTORY"):
        return _show(which, seed, int(number), faults)
    if sys.argv[1:] == ["mutants"]:
        from .killing import kill_all

        return kill_all(seed)
    if sys.argv[1:] == ["digest"]:
        from .prove import digest

        print(digest(which, seed, 0))
        return 0
    if sys.argv[1:] == ["created"]:
        from .created import created

        print(json.dumps(created(seed)))
        return 0
    return _prove(which, seed, int(os.environ.get("HISTORIES") or 100), faults)


def _show(which: str, seed: int, number: int, faults: tuple[str, ...] | None) -> int:
    from .sets import named, played
    from .show import table
    from .shrink import shrunk

    outcome = played(named(which, seed, number, faults))
    if outcome.violations and os.environ.get("SHRINK") and outcome.plan.events:
        outcome = shrunk(outcome, lambda text: print(text, file=sys.stderr))
    for line in table(outcome):
        print(line)
    return int(bool(outcome.violations))


def _prove(which: str, seed: int, count: int, faults: tuple[str, ...] | None) -> int:
    from .prove import Order, Tally, spread

    processes = int(os.environ.get("PROCESSES") or len(os.sched_getaffinity(0)))
    total, began = Tally(), clocks.real["monotonic"]()
    for tally in spread(Order(which, seed, int(os.environ.get("FIRST") or 0), count, faults), processes):
        for what in tally.violations.keys() - total.violations.keys():  # a long proof says at once what it found
            print(f"HISTORY={tally.examples[what]}  {what}", file=sys.stderr, flush=True)
        total.add(tally)
    took = clocks.real["monotonic"]() - began
    print(
        f"set {which}, seed {seed}: {total.histories} histories, {total.leases} leases, {total.ready} ready, "
        f"{total.virtual / 3600:.1f} h "
        f"of virtual time, {total.steps} steps; {took:.0f} s on {processes} processes, "
        f"{total.histories / max(total.cpu, 0.001) * 3600:.0f} histories an hour of one core"
    )
    for what, number in total.violations.most_common():
        print(f"  {number:5}  {what}    (SET={which} SEED={seed} HISTORY={total.examples[what]})")
    print(f"{len(total.broken)} of {total.histories} histories break an invariant")
    idle = total.ready < total.histories // 2
    if idle:
        print("hardly any instance became ready: these histories show nothing")
    return int(bool(total.broken) or idle)


if __name__ == "__main__":
    sys.exit(main())
