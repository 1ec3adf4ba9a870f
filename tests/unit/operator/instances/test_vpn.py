"""The VPN beside a workspace: what is made for it, what its condition says, and what is done when."""

from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest

from berth_core import state
from berth_core.firewall import Rule, Sources
from berth_core.kube.conditions import find
from berth_core.kube.containers import Container
from berth_core.resources.instance import Address
from berth_core.vpn import Authority, Protocol, Tunnel
from berth_operator.instances import status
from berth_operator.instances.decide import decide
from berth_operator.instances.manifests import vpn
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.pod import pod as pod_manifest
from berth_operator.instances.manifests.policy import policy
from berth_operator.instances.manifests.service import announced, service
from berth_operator.instances.memory import VpnMemory
from berth_operator.instances.observed import VpnView
from berth_operator.instances.plan import Plan, Step
from berth_operator.settings.config import Config, VpnSettings

from ..samples import CONFIG, ID, NOW, RUNNING, agent, at, bound, deployment, pod, seen, type_

TUNNEL = Tunnel(Protocol.UDP, IPv4Network("10.92.0.0/22"), 1194)
SETTINGS = VpnSettings(image="berth-vpn:1", tunnel=TUNNEL)
WITH = replace(CONFIG, vpn=SETTINGS)
ADDRESS = Address(ipv4="198.51.100.11", port=30194)
SERVING = VpnView(ready=True, address=ADDRESS)
BECOMES_NOBODY = ("SETUID", "SETGID", "SETPCAP")


def lease(*, asked: bool = True) -> LeaseParts:
    return LeaseParts(bound(vpn=asked), deployment(), type_(), 3)


def container(config: Config) -> dict[str, Any]:
    found: dict[str, Any] = pod_manifest(lease(), config)["spec"]["containers"][1]
    return found


def test_one_without_a_vpn_is_made_as_if_there_were_none() -> None:
    assert pod_manifest(lease(asked=False), WITH) == pod_manifest(lease(asked=False), CONFIG)
    assert policy(lease(asked=False), (), WITH) == policy(lease(asked=False), (), CONFIG)
    assert pod_manifest(lease(), CONFIG)["spec"] == pod_manifest(lease(asked=False), CONFIG)["spec"]


@pytest.mark.parametrize(
    ("tun", "security", "device"),
    [
        ("mknod", {"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "MKNOD", *BECOMES_NOBODY]}}, None),
        ("example.org/tun", {"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", *BECOMES_NOBODY]}}, "1"),
        ("privileged", {"privileged": True}, None),
    ],
)
def test_it_may_make_its_tunnel_and_nothing_else(tun: str, security: dict[str, Any], device: str | None) -> None:
    made = container(replace(CONFIG, vpn=replace(SETTINGS, tun=tun)))
    assert made["securityContext"] | security == made["securityContext"]
    assert made["securityContext"]["readOnlyRootFilesystem"] is True
    assert made["securityContext"].get("privileged", False) is (tun == "privileged")
    assert made["resources"]["limits"].get(tun) == made["resources"]["requests"].get(tun) == device


def test_the_workspace_sees_neither_keys_nor_the_management_socket_and_nobody_the_authoritys_key() -> None:
    spec = pod_manifest(lease(), WITH)["spec"]
    mounts = {
        one["name"]: {mount["name"] for mount in one["volumeMounts"]}
        for one in (*spec["initContainers"], *spec["containers"])
    }
    assert mounts["vpn"] == {"berth-vpn", "berth-vpn-run"}
    assert "berth-vpn-run" in mounts["agent"]
    assert "berth-vpn" not in mounts["agent"]
    assert mounts["workspace"] & {"berth-vpn", "berth-vpn-run"} == set()
    (volume,) = (one["secret"] for one in spec["volumes"] if one["name"] == "berth-vpn")
    assert (volume["secretName"], volume["defaultMode"]) == (f"i-{ID}-e3-vpn", 0o400)
    authority = Authority.of(ID, 3, NOW)
    made = vpn.secret(lease(), SETTINGS, authority, ("CERT", "KEY"), "CRL")
    assert {item["key"] for item in volume["items"]} == set(made["data"]) - {"ca.key"}
    assert made["immutable"] is True


def test_its_port_is_reached_as_ssh_is() -> None:
    spec = service(lease(), WITH, ())["spec"]
    assert spec["ports"][1] == {"name": "vpn", "protocol": "UDP", "port": 1194, "targetPort": 1194}
    exact = replace(WITH, sources=Sources.EXACT)
    (users, _) = policy(lease(), [Rule.parse("203.0.113.7", "ACCEPT")], exact)["spec"]["ingress"]
    assert users["ports"] == [{"protocol": "TCP", "port": 22}, {"protocol": "UDP", "port": 1194}]
    assert policy(lease(), (), exact)["spec"]["ingress"][0]["ports"][0]["port"] == 8470, "no rule, no way in"
    ports = [{"name": "ssh", "nodePort": 30022}, {"name": "vpn", "nodePort": 30194}]
    made = {"spec": {"type": "NodePort", "ports": ports}}
    node = {"metadata": {"name": "n"}, "status": {"addresses": [{"type": "InternalIP", "address": "198.51.100.11"}]}}
    assert announced(made, node, {}, port_name="vpn") == (ADDRESS, "")


def shown(**changes: Any) -> tuple[str, str, str]:
    observed = seen(**{"instance": bound(vpn=True), "pod": pod(vpn=RUNNING), "vpn": SERVING} | changes)
    found = find(status.reported(observed, Plan(Step.REPORT), at(2)).conditions, state.VPN_READY)
    assert found is not None
    return found.status, found.reason, found.message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("True", "Serving")),
        ({"vpn": VpnView(offered=False)}, ("False", "NotOffered")),
        ({"vpn": VpnView()}, ("False", "Starting")),
        ({"vpn": VpnView(ready=False, problem="no /dev/net/tun")}, ("False", "NoTunnel")),
        ({"vpn": VpnView(ready=True)}, ("False", "NoAddress")),
        ({"pod": pod(vpn=Container("waiting", reason="ErrImagePull"))}, ("False", "ErrImagePull")),
        ({"pod": pod(vpn=Container("waiting", reason="ContainerCreating"))}, ("True", "Serving")),
        ({"pod": None}, ("False", "Starting")),
    ],
)
def test_the_condition_says_why_the_vpn_does_not_serve(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    assert shown(**changes)[:2] == expected


def test_the_words_of_the_vpn_itself_are_shown() -> None:
    assert shown(vpn=VpnView(ready=False, problem="no /dev/net/tun"))[2] == "no /dev/net/tun"


def test_a_new_leader_goes_on_to_say_what_was_said_until_it_has_heard() -> None:
    before = status.reported(
        seen(instance=bound(vpn=True), pod=pod(vpn=RUNNING), vpn=SERVING), Plan(Step.REPORT), at(2)
    )
    again = bound(vpn=True).model_copy(update={"status": before})
    assert shown(instance=again, vpn=VpnView())[:2] == ("True", "Serving")
    assert shown(instance=again, pod=pod(uid="pod-2", vpn=RUNNING), vpn=VpnView())[:2] == ("False", "Starting")


def test_ssh_does_not_wait_for_the_vpn_and_one_without_says_nothing_of_it() -> None:
    observed = seen(instance=bound(vpn=True), vpn=VpnView(ready=False, problem="no tunnel"))
    assert status.is_ready(bound().model_copy(update={"status": status.reported(observed, Plan(Step.REPORT), at(2))}))
    plain = status.reported(seen(), Plan(Step.REPORT), at(2))
    assert find(plain.conditions, state.VPN_READY) is None


def test_what_is_due_is_done_once_the_firewall_is_in_force() -> None:
    due = replace(SERVING, due=True)
    assert decide(seen(instance=bound(vpn=True), vpn=due), at(1)).step is Step.VPN
    assert decide(seen(instance=bound(vpn=True), vpn=SERVING), at(1)).step is Step.REPORT
    assert decide(seen(instance=bound(vpn=True), vpn=due, agent=agent(current=False)), at(1)).step is Step.PUSH
    assert decide(seen(instance=bound(vpn=True), vpn=due, agent=agent(listening=None)), at(1)).step is Step.VPN


def test_another_server_is_asked_again_and_another_pods_agent_is_told_again() -> None:
    memory = VpnMemory()

    def known() -> tuple[bool | None, frozenset[str]]:
        return memory.ready, memory.refused

    memory.meet(pod(vpn=RUNNING), other_pod=True)
    memory.ready, memory.refused = True, frozenset({"one"})
    memory.meet(pod(vpn=RUNNING), other_pod=False)
    assert known() == (True, frozenset({"one"}))
    memory.meet(pod(vpn=replace(RUNNING, restarts=1)), other_pod=False)
    assert known() == (None, frozenset({"one"}))
    memory.meet(pod(uid="pod-2", vpn=RUNNING), other_pod=True)
    assert known() == (None, frozenset())


REQUIRED = {
    "BERTH_NAMESPACE": "berth",
    "BERTH_WORKSPACE_NAMESPACES": "lab",
    "BERTH_ACCESS_NAMESPACE": "access",
    "BERTH_AGENT_IMAGE": "berth:1",
}


def test_settings_are_read_and_none_is_offered_without_an_image() -> None:
    assert Config.from_environment(REQUIRED).vpn is None
    assert Config.from_environment(REQUIRED | {"BERTH_VPN_IMAGE": "berth-vpn:1"}).vpn == SETTINGS
    asked = {"PROTOCOL": "tcp", "NETWORK": "10.1.0.0/24", "TUN": "example.org/tun", "IMAGE_PULL_POLICY": "Never"}
    more = {f"BERTH_VPN_{name}": value for name, value in asked.items()}
    found = Config.from_environment(REQUIRED | {"BERTH_VPN_IMAGE": "v"} | more).vpn
    assert found == VpnSettings(
        image="v",
        tunnel=Tunnel(Protocol.TCP, IPv4Network("10.1.0.0/24"), 1194),
        pull_policy="Never",
        tun="example.org/tun",
    )


@pytest.mark.parametrize(("name", "value"), [("PROTOCOL", "sctp"), ("NETWORK", "10.0.0.0/30"), ("TUN", "yes")])
def test_settings_that_do_not_serve_are_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"BERTH_VPN_{name}"):
        Config.from_environment(REQUIRED | {"BERTH_VPN_IMAGE": "v", f"BERTH_VPN_{name}": value})
