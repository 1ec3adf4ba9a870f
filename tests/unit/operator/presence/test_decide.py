"""When a machine counts as away, from the outcomes of its probes alone."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from berth_core.kube.conditions import Condition, condition
from berth_core.resources.workspacedeployment import Health
from berth_operator.presence.decide import Outcome, Presence, Tally, Verdict, counted, reachable
from berth_operator.presence.target import Problem, Target

from ..samples import NOW

TARGET = Target("192.168.7.40", 30002)
YES, NO = Outcome(answered=True), Outcome(answered=False, why="connection refused")
OUTCOMES = st.lists(st.sampled_from([YES, NO, None]), max_size=40)
FAILURES = st.integers(1, 5)


def tallies(outcomes: Sequence[Outcome | None], failures: int) -> list[Tally]:
    """Tally before the first outcome and after each."""
    every = [Tally()]
    for outcome in outcomes:
        every.append(counted(every[-1], outcome, failures))
    return every


def verdicts(outcomes: Sequence[Outcome | None], failures: int, present: Condition | None = None) -> list[Verdict]:
    """Verdicts after each outcome, each by the status before it."""
    told = []
    for tally in tallies(outcomes, failures):
        verdict = reachable(Presence(Health(tcp=30002, failures=failures), TARGET, tally), present, 1)
        assert verdict is not None
        present = condition("Reachable", *verdict, now=NOW, generation=1)
        told.append(verdict)
    return told


def status(reason: str, holds: bool, message: str = "as it was") -> Condition:
    return condition("Reachable", holds, reason, message, now=NOW, generation=1)


@given(OUTCOMES, FAILURES)
def test_a_machine_is_away_after_so_many_misses_in_a_row_until_its_next_answer(
    outcomes: list[Outcome | None], failures: int
) -> None:
    heard = [outcome for outcome in outcomes if outcome is not None]
    since = next((number for number, one in enumerate(reversed(heard)) if one.answered), len(heard))
    away = since >= failures
    answered = len(heard) > since
    assert tallies(outcomes, failures)[-1].reachable is (False if away else True if answered else None)


@given(OUTCOMES, FAILURES)
def test_a_flapping_machine_changes_the_status_with_a_probe_or_not_at_all(
    outcomes: list[Outcome | None], failures: int
) -> None:
    told = verdicts(outcomes, failures)
    writes = sum(before != after for before, after in pairwise(told))
    assert writes <= len([outcome for outcome in outcomes if outcome is not None])
    for (before, after), outcome in zip(pairwise(told), outcomes, strict=True):
        if before != after:
            assert outcome is not None
            assert after.status == ("True" if outcome.answered else "False")


@given(OUTCOMES, FAILURES)
def test_a_probe_that_says_nothing_of_the_machine_changes_nothing(
    outcomes: list[Outcome | None], failures: int
) -> None:
    """A process that stood still, whose clock jumped, or that lacked sockets has heard nothing."""
    heard = [outcome for outcome in outcomes if outcome is not None]
    assert tallies(outcomes, failures)[-1] == tallies(heard, failures)[-1]


@given(OUTCOMES, FAILURES, st.sampled_from([status("Answers", True), status("NoAnswer", False)]))
def test_a_new_leader_keeps_what_the_status_says_until_it_knows_better(
    outcomes: list[Outcome | None], failures: int, present: Condition
) -> None:
    told = verdicts(outcomes, failures, present)
    for tally, verdict in zip(tallies(outcomes, failures), told, strict=True):
        if tally.reachable is None:
            assert verdict == (present.status, present.reason, present.message)
        else:
            assert verdict.status == str(tally.reachable)


def test_one_miss_of_a_new_leader_takes_no_machine_away_and_one_answer_brings_it_back() -> None:
    assert verdicts([NO, NO], 3, status("Answers", True))[-1].status == "True"
    assert verdicts([NO, NO, NO], 3, status("Answers", True))[-1].status == "False"
    assert verdicts([NO, YES], 3, status("NoAnswer", False))[-1].status == "True"


@given(OUTCOMES, OUTCOMES, FAILURES)
def test_changes_of_leaders_alone_write_nothing(
    first: list[Outcome | None], second: list[Outcome | None], failures: int
) -> None:
    before = verdicts(first, failures)[-1]
    present = condition("Reachable", *before, now=NOW, generation=1)
    assert verdicts([], failures, present)[-1] == before
    after = verdicts(second, failures, present)[-1]
    assert after == before or after.status != before.status, "the same verdict keeps its words"


def test_a_machine_that_was_never_heard_is_awaited() -> None:
    (told,) = verdicts([], 3)
    assert (told.status, told.reason) == ("Unknown", "AnswerAwaited")
    assert "tcp 192.168.7.40:30002 has not answered yet" in told.message


def test_the_message_says_what_was_tried_and_what_to_do() -> None:
    message = verdicts([NO, NO, NO], 3)[-1].message
    assert "tcp 192.168.7.40:30002 did not answer 3 times in a row, every 30 s (at last: connection refused)" in message
    assert "look whether the machine is switched on" in message


def test_what_is_not_probed_is_neither_there_nor_away() -> None:
    away = status("NoAnswer", False)
    problem = Problem("AddressForbidden", "it is loopback")
    assert reachable(Presence(Health(tcp=1), problem), away, 1) == ("Unknown", "AddressForbidden", "it is loopback")
    assert reachable(None, None, 1) is None
    gone = reachable(None, away, 1)
    assert gone is not None
    assert (gone.status, gone.reason) == ("Unknown", "NotProbed")
    again = reachable(Presence(Health(tcp=1), TARGET), status("NotProbed", False), 1)
    assert again is not None
    assert again.reason == "AnswerAwaited", "an earlier probe says nothing of a later one"
