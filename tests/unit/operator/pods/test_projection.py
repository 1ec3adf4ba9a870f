"""The cached part of an object suffices for all its readers."""

import copy
from typing import Any

import orjson
import pytest

from berth_core import names
from berth_operator.instances.manifests.service import announced
from berth_operator.kinds import INSTANCES, PODS, SERVICES
from berth_operator.pods.projection import slim
from berth_operator.pods.view import goes, pod_view

CONTAINER = {"image": "i:1", "env": [{"name": "A", "value": "b"}], "resources": {"limits": {"cpu": "1"}}}
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "i-a",
        "namespace": "lab",
        "uid": "u",
        "resourceVersion": "7",
        "creationTimestamp": "2026-11-25T12:00:00Z",
        "deletionTimestamp": "2026-11-25T13:00:00Z",
        "labels": {"berth.dev/instance": "a", "berth.dev/epoch": "3"},
        "annotations": {
            names.FORCED_ANNOTATION: "the node burnt",
            names.MADE_FROM_ANNOTATION: "0f",
            names.HOST_KEY_ANNOTATION: "ssh-ed25519 A",
            "other": "x",
        },
        "finalizers": ["berth.dev/fence"],
        "managedFields": [{"manager": "kubelet"}],
    },
    "spec": {
        "nodeName": "n1",
        "volumes": [{"name": "berth-run", "emptyDir": {}}],
        "initContainers": [{"name": "agent", **CONTAINER}],
        "containers": [{"name": "workspace", **CONTAINER}],
        "ephemeralContainers": [{"name": "debugger", **CONTAINER}],
    },
    "status": {
        "phase": "Running",
        "podIP": "10.0.0.7",
        "reason": "Evicted",
        "conditions": [
            {"type": "Ready", "status": "True"},
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}
            | {"lastTransitionTime": "2026-11-25T12:00:00Z"},
            {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"},
        ],
        "initContainerStatuses": [
            {"name": "agent", "restartCount": 2, "containerID": "c1", "imageID": "x", "state": {"running": {}}}
        ],
        "containerStatuses": [
            {"name": "workspace", "restartCount": 0, "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}
        ],
    },
}


@pytest.mark.parametrize("missing", ["", "status", "conditions", "initContainerStatuses", "ephemeralContainers"])
def test_a_pod_is_seen_as_the_whole_one(missing: str) -> None:
    pod = copy.deepcopy(POD)
    for part in (pod, pod["status"], pod["spec"]):
        part.pop(missing, None)
    before = copy.deepcopy(pod)
    kept = slim(PODS, pod)
    assert pod_view(kept) == pod_view(pod)
    assert pod_view(kept).forced
    assert kept["metadata"]["finalizers"] == ["berth.dev/fence"]
    assert pod == before, "the argument stays as it was"
    assert len(orjson.dumps(kept)) < len(orjson.dumps(pod))


@pytest.mark.parametrize(
    ("toleration", "kept"), [({"operator": "Exists"}, True), ({"key": "lab", "operator": "Exists"}, False)]
)
def test_of_its_tolerations_that_of_cordoned_nodes_is_kept(toleration: dict[str, Any], kept: bool) -> None:
    pod = copy.deepcopy(POD)
    pod["spec"]["tolerations"] = [{"key": "other", "operator": "Exists"}, toleration]
    assert pod_view(slim(PODS, pod)) == pod_view(pod)
    assert pod_view(pod).tolerates_cordon is kept
    assert slim(PODS, pod)["spec"].get("tolerations") == ([toleration] if kept else None)


@pytest.mark.parametrize(
    ("asked", "goes_by_itself"),
    [
        ({}, False),
        ({"deletionTimestamp": "2026-11-25T13:00:00Z", "deletionGracePeriodSeconds": 1}, True),
        ({"deletionTimestamp": "2026-11-25T13:00:00Z", "deletionGracePeriodSeconds": 0}, False),
    ],
)
def test_a_pod_s_deletion_is_asked_for_again_where_it_was_broken_off(
    asked: dict[str, Any], goes_by_itself: bool
) -> None:
    metadata = {"name": "i-a", "namespace": "lab", "uid": "u", "resourceVersion": "7"}
    assert goes(slim(PODS, {"metadata": metadata | asked, "spec": {}})) is goes_by_itself


@pytest.mark.parametrize(
    "service",
    [
        {"spec": {"type": "NodePort", "ports": [{"name": "ssh", "port": 22, "nodePort": 30123}]}},
        {"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.11"}]}}},
        {"spec": {"type": "LoadBalancer"}},
    ],
)
def test_a_service_has_the_address_of_the_whole_one(service: dict[str, Any]) -> None:
    obj = {"metadata": {"name": "i-a", "namespace": "lab", "labels": {}}, **service}
    node = {"metadata": {"name": "n1"}}
    assert announced(slim(SERVICES, obj), node, {"n1": "192.0.2.1"}) == announced(obj, node, {"n1": "192.0.2.1"})


def test_bookkeeping_is_dropped_and_all_else_of_our_kinds_is_kept() -> None:
    metadata = {"name": "a", "namespace": "lab", "annotations": {"mine": "1"}}
    noise = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    obj = {
        "kind": "Instance",
        "metadata": metadata | {"managedFields": [{}], "annotations": {"mine": "1"} | noise},
        "spec": {"user": "ada"},
    }
    assert slim(INSTANCES, obj) == {"kind": "Instance", "metadata": metadata, "spec": {"user": "ada"}}
