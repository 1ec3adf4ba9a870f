"""When it is certain that nothing of a pod runs: the heart of fencing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.kube.containers import Container
from berth_operator.kinds import PODS
from berth_operator.pods.projection import slim
from berth_operator.pods.view import NOT_REPORTED, PodView, pod_view

from ..samples import NOW, RUNNING, pod

OVER = Container("terminated", reason="Completed")
WAITS = Container("waiting", reason="ContainerCreating")


@pytest.mark.parametrize(
    ("view", "harmless"),
    [
        (pod(), False),
        (pod(deleting=True), False),
        (pod(deleting=True, containers=(OVER, RUNNING)), False),
        (pod(deleting=True, phase="Failed", containers=(RUNNING, OVER)), False),
        (pod(deleting=True, phase="Running", containers=(OVER, OVER)), False),
        (pod(deleting=True, phase="Succeeded", containers=(OVER, OVER)), True),
        (pod(deleting=False, phase="Failed", containers=(OVER, OVER)), True),
        (pod(deleting=True, phase="Failed", containers=(WAITS, OVER)), True),
        (pod(deleting=False, phase="Failed", containers=(NOT_REPORTED, NOT_REPORTED)), True),
        (pod(deleting=True, phase="Failed", presumed=True, containers=(WAITS, WAITS)), False),
        (pod(deleting=True, phase="Failed", presumed=True, containers=(NOT_REPORTED, OVER)), False),
        (pod(deleting=True, phase="Failed", presumed=True, containers=(RUNNING, OVER)), False),
        (pod(deleting=True, phase="Failed", presumed=True, containers=(OVER, OVER)), True),
        (pod(deleting=True, phase="Failed", presumed=True, forced=True, containers=(WAITS,)), True),
        (pod(deleting=True, phase="Failed", containers=(WAITS, WAITS)), True),
        (pod(deleting=True, node="", phase="Pending", containers=(NOT_REPORTED,)), True),
        (pod(deleting=False, node="", phase="Pending", containers=(NOT_REPORTED,)), False),
        (pod(deleting=True, forced=True), True),
    ],
)
def test_only_the_kubelet_s_word_or_an_administrator_s_counts(view: PodView, harmless: bool) -> None:
    assert view.harmless is harmless


@given(
    states=st.lists(st.sampled_from(["running", "waiting", "terminated"]), min_size=1, max_size=4),
    phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
    deleting=st.booleans(),
    presumed=st.booleans(),
)
def test_a_running_container_is_never_harmless(states: list[str], phase: str, deleting: bool, presumed: bool) -> None:
    containers = tuple(Container(state) for state in [*states, "running"])
    assert not pod(phase=phase, deleting=deleting, presumed=presumed, containers=containers).harmless


def manifest(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "metadata": {
            "name": "i-1",
            "uid": "pod-1",
            "creationTimestamp": "2026-11-25T12:00:00Z",
            "labels": {"berth.dev/epoch": "3"},
            "finalizers": ["berth.dev/fence"],
        },
        "spec": {
            "nodeName": "node-1",
            "initContainers": [{"name": "agent"}],
            "containers": [{"name": "workspace"}],
        },
        "status": {"phase": "Pending"},
    }
    for path, value in changes.items():
        section, _, key = path.partition("__")
        found[section][key] = value
    return found


def test_a_pod_that_no_kubelet_has_spoken_of_waits() -> None:
    view = pod_view(manifest())
    assert (view.agent, view.workspace) == (NOT_REPORTED, NOT_REPORTED)
    assert view.containers == (NOT_REPORTED, NOT_REPORTED)
    assert (view.epoch, view.finalized, view.created) == (3, True, NOW)
    assert not view.harmless


def test_what_the_kubelet_reports_is_read_for_every_container() -> None:
    view = pod_view(
        manifest(
            spec__ephemeralContainers=[{"name": "debug"}],
            status__podIP="10.0.0.7",
            status__initContainerStatuses=[
                {"name": "agent", "containerID": "a1", "restartCount": 2, "state": {"running": {}}}
            ],
            status__containerStatuses=[
                {"name": "workspace", "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}
            ],
            status__ephemeralContainerStatuses=[{"name": "debug", "state": {"running": {}}}],
        )
    )
    assert (view.agent.state, view.agent.id, view.agent.restarts) == ("running", "a1", 2)
    assert (view.workspace.reason, view.workspace.message) == ("ErrImagePull", "no")
    assert [container.state for container in view.containers] == ["running", "waiting", "running"]


def test_the_garbage_collector_s_word_is_told_from_the_kubelet_s() -> None:
    def view(reason: str) -> PodView:
        condition = {"type": "DisruptionTarget", "status": "True", "reason": reason}
        return pod_view(manifest(status__phase="Failed", status__conditions=[condition]))

    assert view("DeletionByPodGC").presumed
    assert not view("TerminationByKubelet").presumed


@pytest.mark.parametrize(("manager", "presumed"), [("kube-controller-manager", True), ("kubelet", False)])
def test_a_phase_that_a_controller_wrote_is_told_from_the_kubelet_s(manager: str, presumed: bool) -> None:
    fields = [
        {"manager": "kube-controller-manager", "fieldsV1": {"f:metadata": {"f:labels": {}}}},
        {"manager": manager, "subresource": "status", "fieldsV1": {"f:status": {"f:phase": {}}}},
    ]
    found = manifest(metadata__managedFields=fields, status__phase="Failed")
    assert pod_view(found).presumed is presumed
    assert pod_view(slim(PODS, found)).presumed is presumed, "the cache keeps it"


def test_the_scheduler_s_refusal_is_read_with_its_time() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/2 nodes",
        "lastTransitionTime": "2026-11-25T12:00:00Z",
    }
    view = pod_view(manifest(status__conditions=[condition]))
    assert (view.unschedulable_since, view.unschedulable) == (NOW, "0/2 nodes")
    view = pod_view(manifest(status__conditions=[condition | {"reason": "SchedulingGated"}]))
    assert view.unschedulable_since is None
