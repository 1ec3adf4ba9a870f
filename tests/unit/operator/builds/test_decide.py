"""The next step for a build, rule by rule, from its observed state."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
import pytest

from berth_core import builds
from berth_core.kube.conditions import condition
from berth_core.kube.containers import Container
from berth_core.kube.model import timestamp
from berth_core.resources import Build, Project
from berth_operator.builds.decide import (
    BEFORE_SECONDS,
    CLEARING,
    FETCH_SECONDS,
    PACKING,
    PATIENCE,
    Plan,
    Step,
    decide,
)
from berth_operator.builds.observed import UNREAD, MachineSeen, PodSeen, SeenBuild, StepSeen

from ..samples import NOW, at

COMMIT = "ab" * 20
REPORT = {"commit": COMMIT, "image": "debian:12", "workspace": None, "timeout": 60}


def build(*, spec: dict[str, Any] | None = None, **status: Any) -> Build:
    metadata: dict[str, Any] = {"name": "b", "namespace": "lab", "uid": "u", "creationTimestamp": timestamp(NOW)}
    wanted = {"project": "p", "user": "ada", "branch": "main", **(spec or {})}
    return Build.parse({"metadata": metadata, "spec": wanted, "status": status})


def project(user: str = "ada") -> Project:
    metadata = {"name": "p", "namespace": "lab", "uid": "u", "creationTimestamp": timestamp(NOW)}
    return Project.parse({"metadata": metadata, "spec": {"name": "p", "user": user, "repoURL": "https://x.test/a"}})


def started(**status: Any) -> SeenBuild:
    return SeenBuild(build(attempt=1, startTime=timestamp(NOW), **status), project())


def resolved(**status: Any) -> SeenBuild:
    return replace(started(commit=COMMIT, image="debian:12", timeout=60, **status), fetch=StepSeen())


def fetch(**container: Any) -> StepSeen:
    return StepSeen(pod=PodSeen("pod", containers={"fetch": Container(**container)}))


def run(*, failed: str = "", ip: str = "", **containers: Container) -> StepSeen:
    return StepSeen(failed, PodSeen("pod", ip=ip, created=NOW, containers=containers))


def step(seen: SeenBuild, now: datetime = NOW) -> Step:
    return decide(seen, now).step


def ends(seen: SeenBuild, now: datetime = NOW) -> str:
    """Reason of the end that follows."""
    plan = decide(seen, now)
    assert plan.step is Step.END, plan
    assert plan.message
    return plan.reason


def test_a_list_that_was_narrowed_counts_for_scripts_that_have_not_begun() -> None:
    narrowed: dict[str, Any] = {"allowed_images": ("ghcr.io",)}
    assert ends(replace(resolved(), **narrowed)) == "ImageForbidden"
    waits = MachineSeen("m", waits_for="its turn")
    assert ends(replace(resolved(workspace="bench"), machine=waits, **narrowed)) == "ImageForbidden"
    assert step(replace(resolved(), run=run(script=Container("running", started=NOW)), **narrowed)) is Step.SHOW


def test_an_attempt_begins_when_it_is_new_or_the_one_before_is_over() -> None:
    assert step(SeenBuild(build())) is Step.BEGIN
    over: dict[str, Any] = {"attempt": 1, "reason": "Passed", "endTime": timestamp(NOW)}
    assert step(SeenBuild(build(**over))) is Step.SETTLED
    assert step(SeenBuild(build(**over), remains=True)) is Step.CLEAR, "a leader of before was late"
    assert step(SeenBuild(build(spec={"attempt": 2}, **over))) is Step.BEGIN
    running: dict[str, Any] = {"attempt": 1, "startTime": timestamp(NOW)}
    assert ends(SeenBuild(build(spec={"attempt": 2}, **running), project())) == builds.CANCELED


def test_a_verdict_is_followed_by_clearing_until_pods_are_gone_or_a_node_is_silent() -> None:
    running = condition(builds.RUNNING, False, "Passed", "", now=NOW)
    seen = SeenBuild(build(attempt=1, reason="Passed", conditions=[running.wire()]), pods=True)
    assert decide(seen, NOW) == Plan(Step.CLEAR, again_at=NOW + CLEARING)
    assert step(replace(seen, pods=False)) is Step.FINISH
    assert step(seen, NOW + CLEARING) is Step.FINISH


def test_pods_of_one_that_waited_long_have_their_time_to_go_though_it_was_never_shown_to_run() -> None:
    waits = condition(builds.RUNNING, False, "Canceled", "", now=NOW - CLEARING)
    over = build(attempt=1, reason="Canceled", startTime=timestamp(NOW), conditions=[waits.wire()])
    seen = SeenBuild(over, pods=True)
    assert decide(seen, NOW) == Plan(Step.CLEAR, again_at=NOW + CLEARING)


def test_a_cancel_ends_whatever_it_does() -> None:
    states: list[dict[str, Any]] = [{"attempt": 1}, {"attempt": 1, "startTime": timestamp(NOW)}]
    for status in states:
        assert ends(SeenBuild(build(spec={"cancel": 1}, **status), project())) == builds.CANCELED


def test_what_cannot_be_built_ends_before_its_turn() -> None:
    waiting = SeenBuild(build(attempt=1), project(), most_waiting=3)
    assert step(waiting) is Step.SHOW
    assert ends(replace(waiting, project=None)) == "ProjectMissing"
    assert ends(replace(waiting, project=project("bob"))) == "NotTheProjects"
    assert ends(replace(waiting, forbidden="private")) == "RepositoryForbidden"
    assert step(replace(waiting, ahead=2)) is Step.SHOW
    assert ends(replace(waiting, ahead=3)) == "TooManyWaiting"
    assert ends(replace(waiting, allowed_users=frozenset({"bob"}))) == "NotAllowed"
    assert step(replace(waiting, allowed_users=frozenset({"ada"}))) is Step.SHOW


def test_a_turn_ends_where_no_pod_can_be_made() -> None:
    late, later = at(BEFORE_SECONDS), at(BEFORE_SECONDS + FETCH_SECONDS)
    assert step(started(), at(BEFORE_SECONDS - 1)) is Step.FETCH
    assert ends(started(), late) == "StartTimeout"
    assert step(replace(started(), clock_trusted=False), late) is Step.FETCH
    assert step(replace(started(), fetch=StepSeen()), later) is Step.SHOW, "the Job has its own limit"
    assert step(resolved(), late) is Step.RUN
    assert ends(resolved(), later) == "StartTimeout"
    waits = condition(builds.WORKSPACE_READY, False, builds.WAITING, "", now=NOW)
    assert step(resolved(workspace="bench", conditions=[waits.wire()]), later) is Step.LEASE, "it queues"


def test_the_report_of_the_first_step_decides() -> None:
    seen = started()
    assert step(seen) is Step.FETCH
    assert step(replace(seen, fetch=fetch(state="running"))) is Step.SHOW
    good = fetch(state="terminated", message=orjson.dumps(REPORT).decode())
    plan = decide(replace(seen, fetch=good), NOW)
    assert plan.step is Step.RESOLVE
    assert plan.report is not None
    assert (plan.report.commit, plan.report.image) == (COMMIT, "debian:12")
    assert ends(replace(seen, fetch=good, allowed_images=("ghcr.io",))) == "ImageForbidden"
    bad = fetch(state="terminated", exit_code=1, message='{"error": "BranchNotFound", "message": "no"}')
    assert ends(replace(seen, fetch=bad)) == "BranchNotFound"


@pytest.mark.parametrize(
    "message",
    ["", "Traceback", "[]", '{"commit": "x"}', '{"commit": "' + COMMIT + '"}', '{"error": "not a word"}'],
)
def test_a_first_step_that_says_nothing_sound_has_failed(message: str) -> None:
    for code in (0, 137):
        broken = fetch(state="terminated", exit_code=code, message=message)
        assert ends(replace(started(), fetch=broken)) == "FetchFailed"


def test_a_first_step_that_is_lost_is_told() -> None:
    assert ends(replace(started(), fetch=StepSeen("DeadlineExceeded"))) == "FetchTimeout"
    assert ends(replace(started(), fetch=StepSeen("BackoffLimitExceeded"))) == "PodLost"
    assert ends(replace(started(), fetch=StepSeen(UNREAD))) == "PodLost"


def machine(**seen: Any) -> MachineSeen:
    return MachineSeen("id", **seen)


def test_a_machine_is_asked_for_in_turn_and_waited_for() -> None:
    postponed = condition(builds.WORKSPACE_READY, False, builds.POSTPONED, "", now=NOW)
    seen = resolved(workspace="bench", conditions=[postponed.wire()])
    assert decide(seen, NOW).reason == builds.POSTPONED
    waiting = condition(builds.WORKSPACE_READY, False, builds.WAITING, "", now=NOW)
    seen = resolved(workspace="bench", conditions=[waiting.wire()])
    assert step(seen) is Step.LEASE
    seen = resolved(workspace="bench", instance="b-1", conditions=[waiting.wire()])
    assert decide(replace(seen, machine=machine()), NOW).reason == builds.WAITING
    assert decide(replace(seen, machine=machine(bound=True)), NOW).reason == builds.STARTING
    ready = replace(seen, machine=machine(bound=True, ready=True))
    assert step(ready) is Step.RUN
    assert ends(replace(seen, machine=machine(over="StartFailed"))) == "WorkspaceFailed"
    assert ends(replace(seen, refused=("WorkspaceRefused", "no"))) == "WorkspaceRefused"
    assert ends(replace(ready, run=run(ip="10.0.0.9"), machine=machine(over="Expired"))) == "WorkspaceFailed"


def test_the_door_is_opened_for_the_pod_s_address() -> None:
    seen = replace(resolved(workspace="bench", instance="b-1"), machine=machine(bound=True, ready=True), run=run())
    assert step(seen) is Step.SHOW
    assert step(replace(seen, run=run(ip="10.0.0.9"))) is Step.OPEN
    assert step(replace(seen, run=run(ip="10.0.0.9"), door="10.0.0.8")) is Step.OPEN
    assert step(replace(seen, run=run(ip="10.0.0.9"), door="10.0.0.9")) is Step.SHOW


DONE = Container("terminated", started=NOW, finished=NOW)


def test_the_script_s_end_is_the_build_s_once_its_artifacts_are_packed() -> None:
    for code, reason in ((0, builds.PASSED), (3, builds.SCRIPT_FAILED)):
        script = replace(DONE, exit_code=code)
        plan = decide(replace(resolved(), run=run(checkout=DONE, script=script, artifacts=DONE)), NOW)
        assert (plan.step, plan.reason, plan.exit_code) == (Step.END, reason, code)
        packing = replace(resolved(), run=run(script=script, artifacts=Container("running")))
        assert decide(packing, NOW) == Plan(Step.SHOW, "Packing", "its artifacts are packed", again_at=NOW + PACKING)
        assert ends(packing, NOW + PACKING) == reason
    killed = run(script=replace(DONE, exit_code=137, reason="OOMKilled"), artifacts=DONE)
    assert "exit code 137 (OOMKilled)" in decide(replace(resolved(), run=killed), NOW).message


def test_a_script_has_so_much_time_by_a_clock_that_is_right() -> None:
    seen = replace(resolved(), run=run(script=Container("running", started=NOW)))
    assert decide(seen, at(59)).again_at == at(60)
    assert ends(seen, at(60)) == "Timeout"
    assert step(replace(seen, clock_trusted=False), at(60)) is Step.SHOW
    stopped = run(failed="DeadlineExceeded", script=Container("running", started=NOW))
    assert ends(replace(seen, run=stopped, clock_trusted=False)) == "Timeout"


def test_an_image_that_cannot_be_pulled_is_given_some_time() -> None:
    seen = replace(resolved(), run=run(checkout=DONE, script=Container(reason="ImagePullBackOff")))
    assert decide(seen, NOW).again_at == NOW + PATIENCE
    assert ends(seen, NOW + PATIENCE) == "ImageFailed"
    hopeless = replace(resolved(), run=run(checkout=DONE, script=Container(reason="InvalidImageName")))
    assert ends(hopeless) == "ImageFailed"


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "CreateContainerError", "InvalidImageName"])
def test_the_kubelet_s_words_about_an_image_are_not_told(reason: str) -> None:
    words = "dial tcp 10.1.2.3:22: connect: connection refused"
    script = Container(reason=reason, message=words)
    told = decide(replace(resolved(), run=run(checkout=DONE, script=script)), NOW + PATIENCE)
    assert told.reason == "ImageFailed"
    assert "10.1.2.3" not in told.message
    assert reason in told.message


def test_a_pod_that_is_lost_is_told() -> None:
    begun = Container("running", started=NOW)
    assert ends(replace(resolved(), run=StepSeen("BackoffLimitExceeded"))) == "PodLost"
    assert ends(replace(resolved(), run=run(failed="BackoffLimitExceeded"))) == "PodLost"
    assert ends(replace(resolved(), run=run(failed="BackoffLimitExceeded", script=begun))) == "PodLost"
    assert ends(replace(resolved(), run=StepSeen(UNREAD))) == "PodLost"
    assert ends(replace(resolved(), run=StepSeen("DeadlineExceeded"))) == "StartTimeout"


def test_a_build_whose_wall_was_not_seen_to_stand_says_why() -> None:
    failed = replace(DONE, exit_code=1, message="nothing keeps it from machines\n")
    for seen in (
        replace(started(), fetch=run(failed="BackoffLimitExceeded", wall=failed)),
        replace(resolved(), run=run(failed="BackoffLimitExceeded", wall=failed)),
    ):
        plan = decide(seen, NOW)
        assert (plan.step, plan.reason, plan.message) == (Step.END, "WallMissing", "nothing keeps it from machines")
    killed = replace(DONE, exit_code=137, reason="OOMKilled", message="")
    assert "exit code 137 (OOMKilled)" in decide(replace(resolved(), run=run(wall=killed)), NOW).message


def test_a_wall_that_stands_or_is_waited_for_changes_nothing() -> None:
    for wall in (DONE, Container("running", started=NOW), Container()):
        assert step(replace(started(), fetch=run(wall=wall))) is Step.SHOW
        assert step(replace(resolved(), run=run(wall=wall))) is Step.SHOW


def test_a_checkout_that_fails_says_why() -> None:
    report = '{"error": "MachineUnreachable", "message": "no answer"}'
    said = replace(DONE, exit_code=1, message=report)
    assert ends(replace(resolved(), run=run(checkout=said))) == "MachineUnreachable"
    assert ends(replace(resolved(), run=run(checkout=replace(DONE, exit_code=1)))) == "CheckoutFailed"
