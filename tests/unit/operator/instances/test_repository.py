"""The repository of a workspace: what is made for it, what its condition says, and what it never costs."""

import json
from dataclasses import replace
from typing import Any

import pytest

from berth_core import state
from berth_core.firewall import parse_source
from berth_core.kube.conditions import find
from berth_core.kube.containers import Container
from berth_operator.instances import status
from berth_operator.instances.decide import decide
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.pod import pod as pod_manifest
from berth_operator.instances.manifests.policy import policy
from berth_operator.instances.observed import AgentView
from berth_operator.instances.plan import Plan, Step
from berth_operator.instances.warm.decide import WarmSet, serves
from berth_operator.instances.warm.manifests import made_from
from berth_operator.pods.view import PodView, pod_view
from berth_operator.settings.config import CloneSettings, Config

from ..samples import CONFIG, ID, NOW, RUNNING, at, bound, deployment, instance, pod, seen, type_

URL = "https://git.example.org/lab/$arm.git"
WITH = replace(CONFIG, clone=CloneSettings(image="berth-ci:1"))
DONE = Container("terminated", id="c9", reason="Completed", message='{"commit": "abc"}', exit_code=0)
WAITING = Container("waiting", reason="PodInitializing")
PULLING = Container("waiting", reason="ImagePullBackOff", message="no such image")


def lease(**spec: Any) -> LeaseParts:
    return LeaseParts(bound(repo={"url": URL, "path": "arm"}), deployment(), type_(**spec), 3)


def spec_of(config: Config = WITH, **spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = pod_manifest(lease(**spec), config)["spec"]
    return found


def asked(**changes: Any) -> Any:
    """An instance with a repository, in a pod whose containers are as told."""
    status_ = changes.pop("status", {})
    return seen(instance=bound(repo={"url": URL, "path": "arm"}, status=status_), **changes)


def shown(observed: Any) -> tuple[str, str, str]:
    new = status.reported(observed, Plan(Step.REPORT), NOW)
    found = find(new.conditions, state.REPOSITORY_READY)
    assert found is not None
    return found.status, found.reason, found.message


def test_one_without_a_repository_is_made_as_if_none_were_cloned() -> None:
    plain = LeaseParts(bound(), deployment(), type_(), 3)
    assert pod_manifest(plain, WITH) == pod_manifest(plain, CONFIG)
    assert spec_of(CONFIG) == pod_manifest(plain, CONFIG)["spec"]
    warm = LeaseParts(None, deployment(), type_(), 3, warm=True)
    assert made_from(warm, WITH) == made_from(warm, CONFIG)
    assert policy(lease(), (), WITH)["spec"] == policy(plain, (), WITH)["spec"], "nobody gets more reach by it"


def test_it_is_cloned_behind_the_shut_door_and_before_the_workspace() -> None:
    agent, clone = spec_of()["initContainers"]
    assert agent["restartPolicy"] == "Always"
    assert "restartPolicy" not in clone
    assert (clone["image"], clone["command"]) == ("berth-ci:1", ["python3", "-m", "berth_ci", "clone"])
    env = {one["name"]: one for one in clone["env"]}
    assert env["BERTH_REPO_URL"]["value"] == URL.replace("$", "$$")
    limit = {"containerName": "workspace", "resource": "limits.ephemeral-storage"}
    assert env["BERTH_SPACE"]["valueFrom"] == {"resourceFieldRef": limit}


def test_what_clones_may_nothing_and_sees_only_the_clone() -> None:
    spec = spec_of()
    clone, workspace = spec["initContainers"][1], spec["containers"][0]
    assert clone["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [mount["name"] for mount in clone["volumeMounts"]] == ["berth-repo", "berth-repo-state"]
    mounts = {mount["name"]: mount for mount in workspace["volumeMounts"]}
    assert mounts["berth-repo"] == {"name": "berth-repo", "mountPath": "/root/arm"}
    assert "berth-repo-state" not in mounts


@pytest.mark.parametrize(
    ("resources", "size"),
    [
        ({}, {"sizeLimit": "4Gi"}),
        ({"limits": {"ephemeral-storage": "20Gi"}}, {"sizeLimit": "20Gi"}),
        ({"requests": {"ephemeral-storage": "5Gi"}}, {"sizeLimit": "5Gi"}),
    ],
)
def test_it_may_grow_as_all_else_in_the_workspace(resources: dict[str, Any], size: dict[str, str]) -> None:
    spec = spec_of(template={"image": "workspace:1", "resources": resources})
    (volume,) = (one["emptyDir"] for one in spec["volumes"] if one["name"] == "berth-repo")
    assert volume == size


@pytest.mark.parametrize(
    ("url", "cloned"),
    [
        ("https://8.8.8.8/a", True),
        ("https://[2a00::1]/a", True),
        ("https://192.168.9.4/a", True),
        ("https://10.1.2.3/a", False),
        ("https://192.168.7.4/a", False),
        ("https://169.254.169.254/a", False),
        ("https://[::ffff:169.254.169.254]/a", False),
        ("https://2852039166/a", False),
        ("https://127.1/a", False),
        ("https://localhost/a", False),
    ],
)
def test_an_address_is_cloned_from_only_where_its_type_lets_workspaces_connect(url: str, cloned: bool) -> None:
    machines = parse_source("192.168.7.0/24")
    network = {"egress": "open", "allowed": ["192.168.0.0/16", "169.254.0.0/16"]}
    held = bound(repo={"url": url, "path": "arm"})
    made = LeaseParts(held, deployment(), type_(network=network), 3)
    spec = pod_manifest(made, replace(WITH, machines=(machines,)))["spec"]
    assert [one["name"] for one in spec["initContainers"]] == ["agent", *(["repo"] if cloned else [])]
    if not cloned:
        state_of = shown(seen(instance=held, type=type_(network=network), out_of_reach=(machines,)))
        assert state_of[:2] == ("False", "Unfit")
        assert state_of[2].endswith("it was not cloned")


@pytest.mark.parametrize(("timeout", "seconds"), [(10, "5"), (100, "50"), (300, "60"), (86400, "60")])
def test_it_never_takes_so_long_that_the_start_fails(timeout: int, seconds: str) -> None:
    clone = spec_of(limits={"startTimeout": timeout})["initContainers"][1]
    assert {"name": "BERTH_SECONDS", "value": seconds} in clone["env"]


@pytest.mark.parametrize(
    ("container", "said"),
    [
        (WAITING, ("False", "Starting", "the pod starts")),
        (RUNNING, ("False", "Cloning", "the repository is being cloned")),
        (PULLING, ("False", "ImagePullBackOff", "no such image")),
        (DONE, ("True", "Cloned", "commit abc is checked out")),
        (replace(DONE, message='{"commit": ""}'), ("True", "Cloned", "its default branch has no commit")),
        (replace(DONE, message='{"error": "X", "message": "why"}'), ("False", "CloneFailed", "X: why")),
    ],
)
def test_the_condition_says_how_far_it_is_and_what_came_of_it(container: Container, said: tuple[str, str, str]) -> None:
    assert shown(asked(pod=pod(repository=container))) == said


@pytest.mark.parametrize("message", ["", "{", "[]", "{}", "null", '"x"'])
def test_silence_is_a_failure_but_not_of_what_was_told_before(message: str) -> None:
    silent = pod(repository=replace(DONE, message=message))
    assert shown(asked(pod=silent))[:2] == ("False", "CloneFailed")
    told = status.reported(asked(pod=pod(repository=DONE)), Plan(Step.REPORT), NOW).wire()
    assert shown(asked(pod=silent, status=told)) == ("True", "Cloned", "commit abc is checked out")
    assert shown(asked(pod=replace(silent, uid="pod-2"), status=told))[:2] == ("False", "CloneFailed")


def test_why_nothing_is_cloned_is_said() -> None:
    assert shown(asked())[1] == "NotOffered"
    volume = {"name": "home", "mountPath": "/root", "emptyDir": {}}
    full = type_(template={"image": "workspace:1", "volumes": [volume]})
    found = shown(asked(type=full))
    assert (found[1], "choose another `path`" in found[2]) == ("Unfit", True)
    old = seen(instance=bound(repo={"url": "ssh://git@git.example.org/arm"}))
    found = shown(old)
    assert (found[1], "clone inside, with your own credentials" in found[2]) == ("Unfit", True)


def test_whoever_waits_is_told_that_it_is_being_cloned() -> None:
    waits = asked(pod=pod(workspace=WAITING, repository=RUNNING), agent=AgentView())
    new = status.reported(waits, Plan(Step.REPORT), NOW)
    ready = find(new.conditions, state.READY)
    assert ready is not None
    assert ready.reason == "Cloning"


def test_a_failed_clone_leaves_the_instance_ready() -> None:
    failed = asked(pod=pod(repository=replace(DONE, message='{"error": "X", "message": "why"}')))
    assert decide(failed, NOW).step is Step.REPORT
    ready = find(status.reported(failed, Plan(Step.REPORT), NOW).conditions, state.READY)
    assert ready is not None
    assert ready.status == "True"


@pytest.mark.parametrize("over", [DONE, replace(DONE, reason="Error", exit_code=1)])
def test_what_has_ended_is_no_obstacle(over: Container) -> None:
    assert pod(repository=over).needed == (RUNNING, RUNNING)
    assert pod(repository=RUNNING).needed == (RUNNING, RUNNING, RUNNING)


def test_an_image_that_cannot_be_pulled_is_the_charts() -> None:
    waits = asked(pod=pod(workspace=WAITING, repository=PULLING), image_error_since=NOW)
    assert decide(waits, at(19)).step is not Step.END
    plan = decide(waits, at(20))
    assert (plan.step, "correct ci.image of the chart" in plan.message) == (Step.END, True)


def test_a_path_that_cannot_be_mounted_is_named_as_a_reason() -> None:
    broken = Container("waiting", reason="RunContainerError", message="not a directory")
    plan = decide(asked(pod=pod(workspace=broken, repository=DONE), image_error_since=NOW), at(20))
    assert (plan.step, "or put the repository elsewhere" in plan.message) == (Step.END, True)


def test_a_warm_pod_does_not_serve_with_a_repository() -> None:
    warm: PodView = pod(made_from="w", epoch=4)
    assert serves(WarmSet(4, warm), instance(), "w")
    assert not serves(WarmSet(4, warm), instance(repo={"url": URL}), "w")


def test_the_kubelets_word_is_read() -> None:
    body = {
        "metadata": {"name": f"i-{ID}", "uid": "u", "creationTimestamp": "2026-11-25T12:00:00Z", "labels": {}},
        "spec": spec_of(),
        "status": {
            "initContainerStatuses": [
                {"name": "repo", "state": {"terminated": {"exitCode": 0, "message": json.dumps({"commit": "abc"})}}}
            ]
        },
    }
    found = pod_view(body).repository
    assert found is not None
    assert (found.state, found.message) == ("terminated", '{"commit": "abc"}')
    assert pod_view(body | {"spec": spec_of(CONFIG)}).repository is None
