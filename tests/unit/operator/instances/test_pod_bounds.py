"""No container of a lease fills its node, whatever its type asks for: the workspace's, hooks', and ours beside them."""

from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest

from berth_core import names, quantities
from berth_core.resources.workspacetype import Hook
from berth_core.vpn import Protocol, Tunnel
from berth_operator.instances.manifests import hook
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.pod import pod
from berth_operator.settings.config import CloneSettings, VpnSettings

from ..samples import CONFIG, bound, deployment, type_

OFFERED = replace(
    CONFIG,
    clone=CloneSettings(image="berth-ci:1"),
    vpn=VpnSettings("vpn:1", Tunnel(Protocol.UDP, IPv4Network("10.92.0.0/22"), names.VPN_PORT)),
)
DISK, MEMORY = "ephemeral-storage", "memory"


def specs(resources: dict[str, Any]) -> list[dict[str, Any]]:
    """Specs of all pods of a lease that has everything."""
    kind = type_(template={"image": "workspace:1", "resources": resources})
    lease = LeaseParts(bound(repo={"url": "https://x.test/a"}, vpn=True), deployment(), kind, 3)
    job = hook.job(lease, "reset", "0a1b2c3d", Hook(command=["/reset"]), OFFERED)
    return [pod(lease, OFFERED)["spec"], job["spec"]["template"]["spec"]]


def writes_to_the_node(container: dict[str, Any], volumes: dict[str, dict[str, Any]]) -> bool:
    """Whether nothing but a limit of its own bounds what it writes to its node's disk (logs are rotated)."""
    empty = [volumes[mount["name"]].get("emptyDir") for mount in container["volumeMounts"] if not mount.get("readOnly")]
    return not container["securityContext"].get("readOnlyRootFilesystem") or not all(
        one is not None and "sizeLimit" in one for one in empty
    )


@pytest.mark.parametrize(
    ("resources", "disk", "memory"),
    [
        ({}, "4Gi", "1Gi"),
        ({"limits": {"cpu": "1"}}, "4Gi", "1Gi"),
        ({"limits": {DISK: "20Gi", MEMORY: "32Mi"}}, "20Gi", "32Mi"),
        ({"requests": {DISK: "1Gi", MEMORY: "128Mi"}}, "4Gi", "1Gi"),
        ({"requests": {DISK: "5Gi", MEMORY: "8e9"}}, "5Gi", "8e9"),
        ({"requests": {DISK: 1, MEMORY: 2**40}}, "4Gi", 2**40),
    ],
)
def test_every_container_of_a_lease_has_a_bound_of_disk_and_memory(
    resources: dict[str, Any], disk: str, memory: str | int
) -> None:
    seen = set()
    for spec in specs(resources):
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            seen.add(container["name"])
            limits, requests = (container["resources"][part] for part in ("limits", "requests"))
            assert MEMORY in limits, container["name"]
            if container["name"] in (names.WORKSPACE_CONTAINER, names.HOOK_CONTAINER):
                assert (limits[DISK], limits[MEMORY]) == (disk, memory)
            else:
                assert not writes_to_the_node(container, volumes), container["name"]
            for name, amount in requests.items():
                assert name not in limits or quantities.parse(amount) <= quantities.parse(limits[name])
    assert len(seen) == 5, "agent, clone, workspace, VPN and hook"
