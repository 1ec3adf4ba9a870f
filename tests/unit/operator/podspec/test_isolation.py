"""Which pods get a user namespace of their own, in which runtime they run, and under which profiles."""

from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest

from berth_core.kube.types import Object
from berth_core.vpn import Protocol, Tunnel
from berth_operator.enforcement.manifests import probe_pod
from berth_operator.instances.manifests.hook import job
from berth_operator.instances.manifests.isolation import of_lease
from berth_operator.instances.manifests.pod import pod
from berth_operator.networks import class_view, node_runtimes
from berth_operator.podspec.isolation import ISOLATED, Verdict, of_build, of_pod
from berth_operator.settings.builds import CiSettings
from berth_operator.settings.config import MKNOD, PRIVILEGED, Config, VpnSettings
from berth_operator.settings.confinement import Confinement
from berth_operator.settings.runtimes import ClassView, NodeRuntimes, Runtimes, UserNamespaces

from ..samples import CONFIG, lease_parts, type_

BOTH, OLD = frozenset({"", "gvisor"}), frozenset[str]()
NODES = {
    "a": NodeRuntimes({"lab": "new"}, BOTH),
    "b": NodeRuntimes({"lab": "new", "sandbox": "yes"}, BOTH),
    "c": NodeRuntimes({"lab": "old"}, OLD),
}
CLASSES = {
    "gvisor": ClassView("gvisor", {}),
    "kata": ClassView("kata", {}),
    "boxed": ClassView("gvisor", {"sandbox": "yes"}),
}
NEW: dict[str, Any] = {"nodeSelector": {"lab": "new"}}


def auto(**changes: Any) -> Config:
    fields: dict[str, Any] = {"user_namespaces": UserNamespaces.AUTO, "runtimes": Runtimes(NODES, CLASSES)}
    return replace(CONFIG, **(fields | changes))


def verdict(config: Config, *, overrides: dict[str, Any] | None = None, vpn: bool = False, **template: Any) -> Verdict:
    lease = lease_parts(template={"image": "workspace:1", **template}, overrides=overrides)
    found = of_lease(lease, config, vpn=vpn)
    made = pod(lease, config)["spec"] if not vpn else None
    assert made is None or made.get("hostUsers", True) is not found.on, "the pod is as was told"
    return found


def with_tun(tun: str) -> Config:
    return auto(vpn=VpnSettings("vpn:1", Tunnel(Protocol.UDP, IPv4Network("10.92.0.0/24"), 1194), tun=tun))


def test_it_is_on_where_every_node_that_the_pod_may_come_to_can() -> None:
    assert verdict(auto(), **NEW) == ISOLATED
    assert verdict(auto(), overrides={"nodeSelector": {"lab": "new"}}) == ISOLATED
    assert verdict(auto(), runtimeClassName="gvisor", **NEW) == ISOLATED
    assert verdict(auto(), runtimeClassName="boxed") == ISOLATED, "a RuntimeClass chooses nodes too"


@pytest.mark.parametrize(
    ("template", "reason", "message"),
    [
        ({}, "NodeCannot", "the container runtime of c has no user namespaces: update it, or select other nodes"),
        (NEW | {"runtimeClassName": "kata"}, "NodeCannot", "the container runtime of a and 1 more has no user"),
        (NEW | {"runtimeClassName": "typo"}, "RuntimeClassUnknown", "the RuntimeClass typo was not there when"),
        ({"nodeSelector": {"lab": "none"}}, "NoNode", "no node has the labels that it selects"),
        (NEW | {"privileged": True}, "NeedsTheNode", "the workspace is privileged"),
        (NEW | {"devices": {"example.com/arm": 1}}, "NeedsTheNode", "it has devices"),
        (NEW | {"resources": {"limits": {"nvidia.com/gpu": 1}}}, "NeedsTheNode", "it has devices"),
        (NEW | {"resources": {"requests": {"example.com/arm": "1"}}}, "NeedsTheNode", "it has devices"),
        (
            NEW | {"resourceClaims": [{"name": "arm", "resourceClaimTemplateName": "arms"}]},
            "NeedsTheNode",
            "it has devices",
        ),
        (
            NEW | {"volumes": [{"name": "dev", "mountPath": "/x", "hostPath": {"path": "/dev"}}]},
            "NeedsTheNode",
            "it has a hostPath volume",
        ),
        (NEW | {"addCapabilities": ["SYS_PTRACE", "SYS_NICE"]}, "NeedsTheNode", "it adds the capability SYS_NICE"),
    ],
)
def test_else_it_is_off_and_the_instance_says_why(template: dict[str, Any], reason: str, message: str) -> None:
    found = verdict(auto(), **template)
    assert (found.on, found.reason) == (False, reason)
    assert found.message.startswith(message)


def test_the_nodes_that_count_are_those_that_the_pod_is_bound_to() -> None:
    assert verdict(auto(), overrides={"nodeSelector": {"lab": "new"}}, nodeSelector={"lab": "none"}).reason == "NoNode"


def test_devices_of_the_deployment_count_and_capabilities_of_a_namespace_do_not() -> None:
    assert verdict(auto(), overrides={"devices": {"example.com/arm": 1}}, **NEW).reason == "NeedsTheNode"
    assert verdict(auto(), addCapabilities=["SYS_PTRACE", "CAP_NET_RAW"], **NEW) == ISOLATED


@pytest.mark.parametrize("tun", [MKNOD, PRIVILEGED])
def test_a_pod_with_a_vpn_that_needs_the_node_has_none_and_that_of_its_hooks_has(tun: str) -> None:
    assert verdict(with_tun(tun), vpn=True, **NEW).reason == "NeedsTheNode"
    assert verdict(with_tun(tun), vpn=False, **NEW) == ISOLATED
    assert verdict(with_tun("example.org/tun"), vpn=True, **NEW) == ISOLATED


def test_always_and_never_ask_nobody() -> None:
    hard: dict[str, Any] = {"privileged": True}
    assert verdict(auto(user_namespaces=UserNamespaces.ALWAYS, runtimes=Runtimes()), **hard) == ISOLATED
    assert verdict(auto(user_namespaces=UserNamespaces.NEVER), **NEW).reason == "TurnedOff"


def test_what_is_said_of_a_pod_is_what_it_has() -> None:
    off = Verdict(False, "NodeCannot", "")
    assert of_pod(off, isolated=True) == ISOLATED
    assert of_pod(off, isolated=False) == off
    assert of_pod(ISOLATED, isolated=False).reason == "MadeBefore"


def test_builds_have_them_by_the_same_rule() -> None:
    assert of_build(auto(ci=CiSettings("ci:1", node_selector={"lab": "new"}))) == ISOLATED
    assert of_build(auto(ci=CiSettings("ci:1"))).reason == "NodeCannot"
    for part in ("requests", "limits"):
        gpu = CiSettings("ci:1", node_selector={"lab": "new"}, resources={part: {"nvidia.com/gpu": 1}})
        assert of_build(auto(ci=gpu)).reason == "NeedsTheNode"
    kata = CiSettings("ci:1", node_selector={"lab": "new"}, confinement=Confinement("kata"))
    assert of_build(auto(ci=kata)).reason == "NodeCannot"


def test_nodes_and_classes_are_read_as_kubernetes_has_them() -> None:
    node: Object = {
        "metadata": {"name": "n", "labels": {"lab": "new"}},
        "status": {
            "runtimeHandlers": [
                {"name": "", "features": {"userNamespaces": True, "recursiveReadOnlyMounts": True}},
                {"name": "runc", "features": {"userNamespaces": True}},
                {"name": "kata", "features": {"userNamespaces": False}},
                {"name": "wasm"},
            ]
        },
    }
    assert node_runtimes(node) == NodeRuntimes({"lab": "new"}, frozenset({"", "runc"}))
    assert node_runtimes({"metadata": {"name": "new"}}) == NodeRuntimes({}, frozenset())
    assert class_view({"handler": "runsc"}) == ClassView("runsc", {})
    chosen = {"handler": "runsc", "scheduling": {"nodeSelector": {"sandbox": "yes"}}}
    assert class_view(chosen) == ClassView("runsc", {"sandbox": "yes"})


def test_the_type_names_a_runtime_class_else_the_value_does() -> None:
    config = replace(CONFIG, confinement=Confinement("gvisor"))
    own = lease_parts(template={"image": "workspace:1", "runtimeClassName": "kata"})
    hook = type_(hooks={"reset": {"command": ["reset"]}}).spec.hooks.reset
    assert hook is not None
    assert [pod(lease, config)["spec"]["runtimeClassName"] for lease in (lease_parts(), own)] == ["gvisor", "kata"]
    assert job(own, "reset", "0a1b2c3d", hook, config)["spec"]["template"]["spec"]["runtimeClassName"] == "kata"
    assert probe_pod("p", "lab", config)["spec"]["runtimeClassName"] == "gvisor"
    assert "runtimeClassName" not in pod(lease_parts(), CONFIG)["spec"]


def test_profiles_are_those_of_the_values_where_users_work_and_the_default_where_berth_does() -> None:
    seccomp, app_armor = {"type": "Localhost", "localhostProfile": "lab.json"}, {"type": "RuntimeDefault"}
    spec = pod(lease_parts(), replace(CONFIG, confinement=Confinement("", seccomp, app_armor)))["spec"]
    (agent,), (workspace,) = spec["initContainers"], spec["containers"]
    assert workspace["securityContext"].items() >= {"seccompProfile": seccomp, "appArmorProfile": app_armor}.items()
    assert spec["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert not {"seccompProfile", "appArmorProfile"} & agent["securityContext"].keys()
    privileged = lease_parts(template={"image": "workspace:1", "privileged": True})
    assert pod(privileged, CONFIG)["spec"]["containers"][0]["securityContext"] == {"privileged": True, "runAsUser": 0}
