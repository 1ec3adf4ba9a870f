"""Pods without an agent begin with the wall where machines have networks, and say so where it was not seen to stand.

tests/envtest/agent/test_wall.py sends packets.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from berth_core.kube.model import timestamp
from berth_core.kube.types import Object
from berth_dev.envtest.apiserver import ApiServer

from . import builds
from .builds import CI, build, found, is_over, project
from .hooks import JOBS, RESET, borrowed, end, fail, has_ended, pod_of, started
from .lab import DEPLOYMENTS, PODS, POLICIES, SERVICES, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver
LAB = {"BERTH_MACHINE_CIDRS": "192.0.2.0/24"}
WHY = "for 60 s no NetworkPolicy kept the pod from 10.43.0.9 port 8474, so nothing keeps it from machines"
PORTS = {"control": 8473, "canary": 8474}


async def canary(lab: Lab) -> list[str]:
    """The chart's Service; its addresses."""
    ports = [{"name": name, "port": port} for name, port in PORTS.items()]
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "berth-canary"},
        "spec": {"ipFamilyPolicy": "PreferDualStack", "selector": {"app": "canary"}, "ports": ports},
    }
    made = await lab.client.create(SERVICES, lab.namespaces.release, body)
    addresses: list[str] = made["spec"]["clusterIPs"]
    return addresses


def restricted(server: ApiServer, lab: Lab) -> None:
    server.kubectl("label", "namespace", lab.namespace, "pod-security.kubernetes.io/enforce=restricted")


def wall(job: Object) -> Object:
    first: Object = job["spec"]["template"]["spec"]["initContainers"][0]
    assert first["name"] == "wall"
    return first


def to_the_canary(policy: Object) -> list[int]:
    """Ports of the canary's pods that a policy opens."""
    return [
        port["port"]
        for entry in policy["spec"]["egress"]
        for peer in entry.get("to", ())
        if peer.get("podSelector") == {"matchLabels": {"app.kubernetes.io/component": "canary"}}
        for port in entry["ports"]
    ]


async def was_not_seen(lab: Lab, pod: str, container: str) -> None:
    """A kubelet's word that the wall has failed, with its last line."""
    now = timestamp(datetime.now(UTC).replace(microsecond=0))
    ended = {"exitCode": 1, "reason": "Error", "message": f"{WHY}\n", "startedAt": now, "finishedAt": now}
    common: dict[str, Any] = {"image": "i", "imageID": "", "ready": False, "restartCount": 0}
    waits = {"waiting": {"reason": "PodInitializing"}}
    status = {
        "phase": "Failed",
        "initContainerStatuses": [common | {"name": "wall", "state": {"terminated": ended}}],
        "containerStatuses": [common | {"name": container, "state": waits}],
    }
    await lab.status_patch(PODS, pod, status)


async def test_a_hook_does_not_begin_without_the_wall_and_its_machine_says_why(lab: Lab, operators: Operators) -> None:
    addresses = await canary(lab)
    operators.start(**LAB)
    uid = await borrowed(lab, RESET)
    await end(lab)
    name = await started(lab, uid, "reset")
    first = wall(await lab.get(JOBS, name))
    assert first["command"][3:] == ["15", "8473", "8474", *addresses]
    assert to_the_canary(await lab.get(POLICIES, f"i-{uid}")) == [PORTS["control"]]
    pod = await pod_of(lab, name)
    await was_not_seen(lab, pod, "hook")
    await fail(lab, name)
    ended = await has_ended(lab)
    assert WHY in str(condition(ended, "Cleaned", "message"))
    shut = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Quarantined") == "ResetFailed")
    assert WHY in str(condition(shut, "Quarantined", "message"))


async def test_the_wall_passes_pod_security_restricted_in_a_hook_s_pod_too(
    lab: Lab, operators: Operators, apiserver: ApiServer
) -> None:
    await canary(lab)
    operators.start(**LAB)
    uid = await borrowed(lab, RESET)
    await end(lab)
    job = await lab.get(JOBS, await started(lab, uid, "reset"))
    restricted(apiserver, lab)
    spec = {key: value for key, value in job["spec"]["template"]["spec"].items() if key != "schedulerName"}
    # The hook itself has what its type's template has.
    spec["containers"] = [wall(job)]
    del spec["initContainers"], spec["volumes"]
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "wall-alone"}, "spec": spec}
    made = await lab.client.create(PODS, lab.namespace, body)
    assert made["spec"]["containers"][0]["name"] == "wall"


async def test_a_build_does_not_begin_without_the_wall_and_says_why(
    lab: Lab, operators: Operators, apiserver: ApiServer
) -> None:
    addresses = await canary(lab)
    restricted(apiserver, lab)
    operators.start(**CI, **LAB)
    await project(lab)
    uid = await build(lab, "first")
    job = await builds.started(lab, uid, "fetch")
    assert wall(job)["command"][3:] == ["60", "8473", "8474", *addresses]
    assert to_the_canary(await lab.get(POLICIES, f"b-{uid}-1")) == [PORTS["control"]]
    await was_not_seen(lab, await builds.pod_of(lab, job), "fetch")
    over = await is_over(lab, "first")
    assert condition(over, "Ended") == "WallMissing"
    assert WHY in str(condition(over, "Ended", "message"))

    uid = await build(lab, "second")
    await found(lab, uid)
    job = await builds.started(lab, uid, "run")
    assert wall(job)["command"][3:] == ["60", "8473", "8474", *addresses]
    assert to_the_canary(await lab.get(POLICIES, f"b-{uid}-1")) == [PORTS["control"]]
    await was_not_seen(lab, await builds.pod_of(lab, job), "script")
    assert condition(await is_over(lab, "second"), "Ended") == "WallMissing"


async def test_without_the_chart_s_service_the_wall_is_there_and_has_nothing_to_try(
    lab: Lab, operators: Operators
) -> None:
    operators.start(**CI, **LAB)
    await project(lab)
    uid = await build(lab, "first")
    job = await builds.started(lab, uid, "fetch")
    assert wall(job)["command"][3:] == ["60", "8473", "8474"], "it fails, and says that the Service is missing"


async def test_without_networks_of_machines_builds_are_as_they_were(lab: Lab, operators: Operators) -> None:
    await canary(lab)
    operators.start(**CI)
    await project(lab)
    uid = await build(lab, "first")
    job = await builds.started(lab, uid, "fetch")
    assert "initContainers" not in job["spec"]["template"]["spec"]
    assert to_the_canary(await lab.get(POLICIES, f"b-{uid}-1")) == []
