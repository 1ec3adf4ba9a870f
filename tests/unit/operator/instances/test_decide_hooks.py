"""Which hook follows, and what a failure is called."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.kube.conditions import find
from berth_core.kube.containers import Container
from berth_operator.instances import status
from berth_operator.instances.decide import decide
from berth_operator.instances.hooks.decide import (
    AFTER,
    HEALTH,
    RESET,
    Cleaning,
    cleaned,
    hook_view,
    next_after,
    wanted_after,
)
from berth_operator.instances.observed import HookView, Progress
from berth_operator.instances.plan import Step

from ..samples import NOW, at, bound, pod, seen, type_

RUNNING, DONE, FAILED = (HookView(progress) for progress in (Progress.RUNNING, Progress.DONE, Progress.FAILED))
PREPARED = type_(hooks={"prepare": {"command": ["/home"]}})


def job(*kinds: str, reason: str = "BackoffLimitExceeded") -> dict[str, Any]:
    conditions = [{"type": kind, "status": "True", "reason": reason} for kind in kinds]
    return {"spec": {"activeDeadlineSeconds": 60}, "status": {"conditions": conditions}}


views = st.dictionaries(st.sampled_from(AFTER), st.sampled_from([RUNNING, DONE, FAILED]))


@given(wanted=st.lists(st.sampled_from(AFTER), unique=True), known=views)
def test_hooks_run_one_after_the_other_and_none_after_a_failure(wanted: list[str], known: dict[str, HookView]) -> None:
    step = next_after(wanted, known)
    before = wanted[: wanted.index(step.hook)] if step.hook else wanted
    assert all(known.get(name) == DONE for name in before), "all before it have succeeded"
    if step.hook:
        assert step.start == (step.hook not in known)
        assert bool(step.failure) == (known.get(step.hook) == FAILED)
    assert step.verdict == (not step.hook or bool(step.failure))


def test_the_type_says_which_hooks_run_after_an_end() -> None:
    hook = {"command": ["/x"]}
    assert [name for name, _ in wanted_after(type_(hooks={"healthCheck": hook, "reset": hook}).spec.hooks)] == list(
        AFTER
    )
    assert [name for name, _ in wanted_after(type_(hooks={"healthCheck": hook}).spec.hooks)] == [HEALTH]
    assert wanted_after(PREPARED.spec.hooks) == []


@pytest.mark.parametrize(
    ("step", "reason", "verdict"),
    [
        (Cleaning(RESET, start=True), "Resetting", None),
        (Cleaning(HEALTH), "Checking", None),
        (Cleaning(RESET, failure="exit code 3"), "ResetFailed", "the hook reset failed: exit code 3"),
        (Cleaning(HEALTH, failure="x"), "HealthCheckFailed", "the hook healthCheck failed: x"),
        (Cleaning(), "Clean", "the deployment is ready for the next"),
    ],
)
def test_a_verdict_is_read_as_it_was_written(step: Cleaning, reason: str, verdict: str | None) -> None:
    written = status.cleaning(bound(), step, NOW)
    found = find(written.conditions, "Cleaned")
    assert found is not None
    assert (found.reason, found.status) == (reason, "True" if reason == "Clean" else "False")
    expected = None if verdict is None else (reason, verdict)
    assert cleaned(bound(status=written.wire())) == expected
    assert cleaned(bound()) is None


@pytest.mark.parametrize(
    ("kinds", "progress"),
    [
        ((), Progress.RUNNING),
        (("SuccessCriteriaMet",), Progress.RUNNING),
        (("Complete",), Progress.DONE),
        (("FailureTarget",), Progress.FAILED),
        (("FailureTarget", "Failed"), Progress.FAILED),
    ],
)
def test_a_job_says_how_far_its_hook_is(kinds: tuple[str, ...], progress: Progress) -> None:
    assert hook_view(job(*kinds), ()).progress is progress


def ended(code: int, reason: str = "Error", **changes: Any) -> Any:
    secret = "the password is hunter2"
    return pod(containers=(Container("terminated", reason=reason, message=secret, exit_code=code),), **changes)


@pytest.mark.parametrize(
    ("pods", "why"),
    [
        ([], "BackoffLimitExceeded"),
        ([ended(3)], "exit code 3"),
        ([ended(137, "OOMKilled")], "exit code 137, OOMKilled"),
        ([ended(1, created=at(-9)), ended(2)], "exit code 2"),
        ([ended(0), ended(4, created=at(-9))], "exit code 4"),
        ([pod(containers=(Container("waiting", reason="ErrImagePull"),))], "its container waits: ErrImagePull"),
        ([pod(unschedulable_since=NOW, unschedulable="0/2 nodes")], "no node can run its pod: 0/2 nodes"),
        ([pod(containers=(), reason="Evicted")], "Evicted"),
        ([pod(wall=Container("terminated", message="no wall\n", exit_code=1))], "no wall"),
        ([ended(3, wall=Container("terminated", message="it stands", exit_code=0))], "exit code 3"),
    ],
)
def test_a_failure_names_the_last_known_cause_and_no_output(pods: list[Any], why: str) -> None:
    assert hook_view(job("Failed"), pods).why == why


def test_a_hook_that_took_too_long_says_so() -> None:
    late = job("Failed", reason="DeadlineExceeded")
    assert hook_view(late, ()).why == "it did not end within 60 s"
    waits = pod(containers=(Container("waiting", reason="ImagePullBackOff"),))
    assert hook_view(late, [waits]).why == "it did not end within 60 s (its container waits: ImagePullBackOff)"


@pytest.mark.parametrize(
    ("view", "step"),
    [(None, Step.PREPARE), (RUNNING, Step.REPORT), (DONE, Step.PREPARED), (FAILED, Step.END)],
)
def test_the_machine_is_prepared_before_there_is_a_pod(view: HookView | None, step: Step) -> None:
    observed = seen(type=PREPARED, pod=None, opened=False, prepare=view)
    # However long it takes: the hook has a limit of its own.
    plan = decide(observed, at(100_000))
    assert plan.step is step
    if step is Step.END:
        assert plan.reason == "StartFailed"


def test_what_is_prepared_or_was_ready_needs_no_preparation() -> None:
    told = status.prepared(bound(), at(900)).wire()
    prepared = bound(status=told)
    assert decide(seen(type=PREPARED, instance=prepared, pod=None, opened=False), at(901)).step is Step.OPEN
    # Its time to start is counted from then on.
    assert decide(seen(type=PREPARED, instance=prepared, pod=None, opened=False), at(1201)).step is Step.END
    was_ready = bound(status={"readyTime": "2026-11-25T12:00:00Z"})
    assert decide(seen(type=PREPARED, instance=was_ready, pod=None, opened=False), at(1)).step is Step.OPEN
    running = bound()
    assert decide(seen(type=PREPARED, instance=running), at(1)).step is not Step.PREPARE
