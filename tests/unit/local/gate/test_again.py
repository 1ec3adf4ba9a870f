"""The second run: what deserves one, and what its outcome means."""

from pathlib import Path

import pytest

from berth_dev.gate import again
from berth_dev.gate.outcomes import Failure, Outcome

LOG = Path("log")
TEST = "tests/unit/core/test_queue.py::test_the_first_is_first[2]"


def ended(*failures: Failure, status: int = 1) -> Outcome:
    return Outcome("workers", status, 1.0, LOG, passed=10, failures=failures)


def failed(node: str = TEST, text: str = "", **what: bool) -> Failure:
    return Failure(node, "assert 1 == 2", text, **what)


def judged(*failures: Failure, wrote: str = "") -> again.Verdict:
    return again.first([ended(*failures)], lambda failure: failure.function == wrote)


def test_what_is_green_needs_nothing() -> None:
    assert again.first([ended(status=0)], lambda _: True) == again.Verdict((), ())


def test_a_failure_is_tried_again_by_its_whole_name() -> None:
    assert judged(failed()) == again.Verdict((), (TEST,))


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (failed(is_collection=True), "cannot be collected"),
        (failed(node=""), "its report is lost"),
        (failed(text="E  recording.IllegalCommitError: epoch 2 after 3"), "lease protocol"),
        (failed(is_invariant=True), "holds an invariant"),
        (failed("tests/sim/test_histories.py::test_x"), "holds an invariant"),
        (failed("tests/spec/test_model.py::test_x"), "holds an invariant"),
        (failed("tests/faults/test_kills.py::test_x"), "holds an invariant"),
    ],
)
def test_some_failures_are_refused_at_once(failure: Failure, reason: str) -> None:
    verdict = judged(failure)
    assert verdict.again == ()
    assert reason in verdict.refusals[0]


def test_a_test_that_the_change_wrote_is_refused_at_once() -> None:
    assert "the change wrote" in judged(failed(), wrote="test_the_first_is_first").refusals[0]


@pytest.mark.parametrize("status", [-9, 2, 3, 4, 5])
def test_an_exit_status_that_is_no_failure_of_a_test_is_refused(status: int) -> None:
    assert f"ended with {status}" in again.first([ended(status=status)], lambda _: False).refusals[0]
    assert again.first([ended(failed(), status=status)], lambda _: False).again == ()


def test_failures_without_a_report_are_refused() -> None:
    assert again.first([ended()], lambda _: False).refusals


def test_failures_are_counted_by_file() -> None:
    three = [failed(f"tests/unit/test_{number}.py::test_a") for number in range(3)]
    assert len(judged(*three).again) == 3
    assert "4 files" in judged(*three, failed("tests/unit/test_3.py::test_a")).refusals[0]


def test_more_than_five_tests_are_refused_and_an_error_of_a_fixture_is_one() -> None:
    many = [f"{TEST}{number}" for number in range(6)]
    assert "6 tests" in judged(*map(failed, many)).refusals[0]
    assert judged(*(failed(node, is_fixture=True) for node in many)).again == (many[0],)


def second(status: int, passed: int, *failures: Failure, nodes: int = 1, skipped: int = 0) -> tuple[str, ...]:
    outcome = Outcome("again", status, 1.0, LOG, passed=passed, skipped=skipped, failures=failures)
    return again.second(outcome, [TEST] * nodes)


def test_what_passes_alone_is_let_through() -> None:
    assert second(0, 1) == ()
    assert second(0, 3, nodes=3) == ()


def test_what_fails_twice_is_refused() -> None:
    assert "failed twice" in second(1, 0, failed())[0]


@pytest.mark.parametrize(("status", "passed", "skipped"), [(0, 0, 0), (0, 1, 1), (5, 0, 0), (-9, 1, 0), (2, 1, 0)])
def test_a_second_run_that_did_not_run_everything_is_refused(status: int, passed: int, skipped: int) -> None:
    assert "second run ended" in second(status, passed, skipped=skipped)[0]


def test_more_than_three_unsteady_tests_are_refused() -> None:
    assert "unsteady" in second(0, 4, nodes=4)[0]
