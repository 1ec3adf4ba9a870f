"""The second run: which failures deserve one, and what its outcome means. Pure; the rules are those of ADR 0087."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from berth_dev.gate.outcomes import Failure, Outcome

MOST_FILES: Final = 3
MOST_TESTS: Final = 5
MOST_UNSTEADY: Final = 3
ORACLE: Final = "IllegalCommitError"
"""The error of tests/support/recording.py, whichever test it strikes."""
FOLDERS_OF_INVARIANTS: Final = ("tests/sim/", "tests/spec/", "tests/faults/")
_PASSED, _FAILED = 0, 1


@dataclass(frozen=True)
class Verdict:
    """The outcome of the first run."""

    refusals: tuple[str, ...]
    """Reasons why no second run can help."""
    again: tuple[str, ...]
    """Nodes for the second run; empty where there are refusals."""


def first(outcomes: Sequence[Outcome], is_changed: Callable[[Failure], bool]) -> Verdict:
    """Judge the first run. ``is_changed`` says whether the change itself wrote that test."""
    refusals = [
        f"{outcome.part}: pytest ended with {outcome.status}, see {outcome.log}"
        for outcome in outcomes
        if outcome.status not in (_PASSED, _FAILED) or (outcome.status == _FAILED and not outcome.failures)
    ]
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    files = {failure.file for failure in failures}
    if len(files) > MOST_FILES:
        refusals.append(f"tests of {len(files)} files failed, of {MOST_FILES} at most a second run is made")
    refusals += [
        f"{failure.node or 'a test'}: {reason}" for failure in failures for reason in _final(failure, is_changed)
    ]
    again = tuple(dict.fromkeys(failure.node for failure in _once(failures)))
    if len(again) > MOST_TESTS:
        refusals.append(f"{len(again)} tests failed, of {MOST_TESTS} at most a second run is made")
    return Verdict(tuple(refusals), () if refusals else again)


def second(outcome: Outcome, nodes: Sequence[str]) -> tuple[str, ...]:
    """Return reasons to refuse after the second run of some nodes."""
    refusals = [f"{failure.node or 'a test'}: failed twice, {failure.line}" for failure in outcome.failures]
    if not refusals and (outcome.status != _PASSED or outcome.passed < len(nodes) or outcome.skipped):
        refusals.append(f"the second run ended with {outcome.status}, see {outcome.log}")
    if not refusals and len(nodes) > MOST_UNSTEADY:
        refusals.append(f"{len(nodes)} tests are unsteady, {MOST_UNSTEADY} at most are let through")
    return tuple(refusals)


def _final(failure: Failure, is_changed: Callable[[Failure], bool]) -> list[str]:
    """Reasons why this failure counts at once."""
    if failure.is_collection:
        return [f"it cannot be collected, {failure.line}"]
    if not failure.node:
        return [f"its report is lost, {failure.line}"]
    if ORACLE in failure.text:
        return [f"the lease protocol does not allow what it did, {failure.line}"]
    if failure.is_invariant or failure.file.startswith(FOLDERS_OF_INVARIANTS):
        return [f"it holds an invariant, {failure.line}"]
    if is_changed(failure):
        return [f"the change wrote this test, {failure.line}"]
    return []


def _once(failures: Sequence[Failure]) -> list[Failure]:
    """Leave out an error of a fixture that another test of the file had too: the first stands for all."""
    seen = set[tuple[str, str]]()
    left = []
    for failure in failures:
        if failure.is_fixture:
            if (failure.file, failure.line) in seen:
                continue
            seen.add((failure.file, failure.line))
        left.append(failure)
    return left
