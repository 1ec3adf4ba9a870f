"""No pod without an agent begins before its NetworkPolicy is in force, where machines have networks of their own."""

import ast
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import pytest

import berth_operator
from berth_core.kube.types import Object
from berth_core.resources import Build, Project
from berth_core.resources.workspacetype import Hook
from berth_operator.builds.manifests.jobs import BuildParts, fetch_job, run_job
from berth_operator.instances.manifests import hook
from berth_operator.instances.manifests.pod import pod
from berth_operator.instances.manifests.policy import closed_policy, policy, type_policy
from berth_operator.podspec import wall
from berth_operator.settings.builds import CiSettings
from berth_operator.settings.config import Config

from ..samples import CONFIG, lease_parts, type_

LAB: Final = replace(CONFIG, machines=(ip_network("192.0.2.0/24"),), canary=("10.43.0.9", "fd00:43::9"))


def parts(config: Config) -> BuildParts:
    metadata = {"name": "b", "namespace": "lab", "uid": "uid-of-b", "creationTimestamp": "2026-11-25T12:00:00Z"}
    status = {"attempt": 1, "commit": "ab" * 20, "image": "debian:12", "timeout": 60}
    spec = {"project": "p", "user": "ada", "branch": "main"}
    project = {"name": "p", "user": "ada", "repoURL": "https://git.example.org/arm.git"}
    return BuildParts(
        Build.parse({"metadata": metadata, "spec": spec, "status": status}),
        Project.parse({"metadata": metadata, "spec": project}),
        CiSettings(image="berth-ci:1"),
        wall=wall.init_containers(config, within=300),
    )


def hook_job(config: Config, timeout: int = 60) -> Object:
    return hook.job(lease_parts(), "reset", "0a1b2c3d", Hook(command=["/reset"], timeout=timeout), config)


def spec(job: Object) -> Object:
    found: Object = job["spec"]["template"]["spec"]
    return found


WALLED: Final[dict[str, Callable[[Config], Object]]] = {
    "instances/manifests/hook.py:job": lambda config: spec(hook_job(config)),
    "builds/manifests/jobs.py:fetch_job": lambda config: spec(fetch_job(parts(config))),
    "builds/manifests/jobs.py:run_job": lambda config: spec(run_job(parts(config), "0a1b2c3d", None)),
}
"""Functions that make pods without an agent for users."""
OTHERS: Final = {
    "instances/manifests/pod.py:pod": "has an agent, whose ruleset is shut before anything else begins",
    "enforcement/manifests.py:probe_pod": "runs a program of Berth's alone, and nothing goes out of it",
}


def makers() -> set[str]:
    """Functions of the operator that write a pod's containers."""
    root, found = Path(berth_operator.__file__).parent, set()
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                keys = (key for one in ast.walk(node) if isinstance(one, ast.Dict) for key in one.keys)
                if any(isinstance(key, ast.Constant) and key.value == "containers" for key in keys):
                    found.add(f"{file.relative_to(root)}:{node.name}")
    return found


def test_every_function_that_makes_a_pod_is_known_here() -> None:
    assert makers() == {*WALLED, *OTHERS}, "a pod without an agent begins with podspec.wall.init_containers"


@pytest.mark.parametrize("make", WALLED.values(), ids=WALLED)
def test_it_begins_with_the_wall_and_the_wall_has_no_power(make: Callable[[Config], Object]) -> None:
    first, *_ = make(LAB)["initContainers"]
    assert first["name"] == "wall"
    assert first["image"] == CONFIG.agent_image
    assert first["command"][-4:] == ["8473", "8474", "10.43.0.9", "fd00:43::9"]
    assert "restartPolicy" not in first, "nothing else starts before it has ended"
    security = first["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert (security["runAsNonRoot"], security["allowPrivilegeEscalation"]) == (True, False)
    assert not {"env", "volumeMounts", "envFrom"} & set(first), "it sees nothing of the user's, nor a Secret"
    assert first["resources"]["limits"]["memory"] == "64Mi"


@pytest.mark.parametrize("make", WALLED.values(), ids=WALLED)
def test_without_networks_of_machines_no_pod_is_another(make: Callable[[Config], Object]) -> None:
    plain, walled = make(CONFIG), make(LAB)
    _, *others = walled.pop("initContainers")
    assert plain.pop("initContainers", []) == others
    assert plain == walled


def test_a_pod_with_an_agent_is_never_another() -> None:
    assert pod(lease_parts(), LAB) == pod(lease_parts(), replace(LAB, canary=()))
    assert "wall" not in [one["name"] for one in pod(lease_parts(), LAB)["spec"]["initContainers"]]


def lets_to(manifest: Object, port: int) -> list[Any]:
    """Pods that a policy names for a port."""
    entries = [one for one in manifest["spec"]["egress"] if {"protocol": "TCP", "port": port} in one.get("ports", [])]
    return [peer["podSelector"]["matchLabels"] for one in entries for peer in one["to"] if "podSelector" in peer]


def test_the_policy_of_a_hook_lets_it_to_the_control_port_and_not_to_the_canary() -> None:
    made = closed_policy(lease_parts(), LAB)
    assert lets_to(made, wall.CONTROL_PORT) == [{"app.kubernetes.io/component": "canary"}]
    assert lets_to(made, wall.CANARY_PORT) == []
    for other in (closed_policy(lease_parts(), CONFIG), policy(lease_parts(), (), LAB), type_policy(type_(), LAB)):
        assert lets_to(other, wall.CONTROL_PORT) == []


def test_a_hook_that_has_little_time_is_told_in_time_why_it_did_not_begin() -> None:
    seconds = [int(spec(hook_job(LAB, timeout))["initContainers"][0]["command"][3]) for timeout in (1, 20, 600)]
    assert seconds == [1, 10, 60]
