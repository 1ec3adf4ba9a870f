import base64
import json
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from berth_core.firewall import Rule, Sources, digest_of
from berth_core.kube.types import Object
from berth_core.resources.workspacetype import Hook
from berth_core.vpn import Protocol, Tunnel
from berth_operator.agents.certificates import KeyPair
from berth_operator.instances.firewall import desired
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.hook import job
from berth_operator.instances.manifests.pod import pod
from berth_operator.instances.manifests.policy import closed_policy, policy, type_policy
from berth_operator.instances.manifests.secrets import agent_secret, workspace_secret
from berth_operator.instances.manifests.service import NOBODY, PORT, announced, service
from berth_operator.podspec.secrets import new_host_key, public_host_key
from berth_operator.settings.config import Config, VpnSettings

from ..samples import CONFIG, ID, bound, instance, lease_parts, rule, type_

EXACT = replace(CONFIG, sources=Sources.EXACT)
BALANCED = replace(EXACT, service_type="LoadBalancer")
VPN = VpnSettings("vpn:1", Tunnel(Protocol.UDP, IPv4Network("10.92.0.0/24"), 1194))


def test_the_host_key_in_the_secret_is_the_one_that_is_announced() -> None:
    key = new_host_key()
    secret = workspace_secret(lease_parts(), key)
    assert secret["metadata"]["name"] == f"i-{ID}-e3"
    private = load_ssh_private_key(base64.b64decode(secret["data"]["ssh_host_ed25519_key"]), None)
    assert public_host_key(secret) == key.public
    assert private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() == key.public


def test_the_agent_begins_closed_with_the_holder_s_keys() -> None:
    secret = agent_secret(lease_parts(ssh_keys=["ssh-ed25519 A"]), KeyPair("cert", "key"), "ca")
    assert secret["metadata"]["name"] == f"i-{ID}-e3-agent"
    initial = json.loads(base64.b64decode(secret["data"]["initial.json"]))
    assert (initial["epoch"], initial["generation"]) == (3, 0)
    assert initial["authorizedKeys"] == ["ssh-ed25519 A"]
    assert digest_of(initial["ruleset"]) == digest_of(desired.body((), None))
    assert base64.b64decode(secret["data"]["ca.crt"]) == b"ca"


def test_the_service_keeps_sources_and_is_never_on_22() -> None:
    spec = service(lease_parts(), CONFIG, ())["spec"]
    assert (spec["externalTrafficPolicy"], spec["publishNotReadyAddresses"]) == ("Local", True)
    assert [(p["port"], p["targetPort"]) for p in spec["ports"]] == [(PORT, 22)]
    assert [p["port"] for p in spec["ports"]] != [22]
    assert spec["externalIPs"] == [], "one that somebody else set would lead elsewhere"


def node(*addresses: tuple[str, str]) -> dict[str, Any]:
    known = [{"type": kind, "address": address} for kind, address in addresses]
    return {"metadata": {"name": "node-1"}, "status": {"addresses": known}}


def node_port_service() -> dict[str, Any]:
    made = service(lease_parts(), CONFIG, ())
    made["spec"]["ports"][0]["nodePort"] = 30123
    return made


@pytest.mark.parametrize(
    ("addresses", "mapping", "expected"),
    [
        ([("InternalIP", "10.1.0.1")], {}, "10.1.0.1"),
        ([("InternalIP", "10.1.0.1"), ("ExternalIP", "198.51.100.1")], {}, "198.51.100.1"),
        ([("InternalIP", "fd00::1"), ("InternalIP", "10.1.0.1")], {}, "10.1.0.1"),
        ([("InternalIP", "10.1.0.1")], {"node-1": "203.0.113.5"}, "203.0.113.5"),
    ],
)
def test_the_announced_address_of_a_node_port(
    addresses: list[tuple[str, str]], mapping: dict[str, str], expected: str
) -> None:
    found, problem = announced(node_port_service(), node(*addresses), mapping)
    assert found is not None
    assert (found.ipv4, found.port, problem) == (expected, 30123, "")


def test_the_announced_address_of_a_load_balancer() -> None:
    made = service(lease_parts(), BALANCED, ())
    assert announced(made, None, {}) == (None, "the load balancer has no IPv4 address yet")
    made["status"] = {"loadBalancer": {"ingress": [{"hostname": "lb.example"}, {"ip": "198.51.100.9"}]}}
    found, _ = announced(made, None, {})
    assert found is not None
    assert (found.ipv4, found.port) == ("198.51.100.9", PORT)


def test_a_load_balancer_is_told_whom_the_rules_let_in_and_that_it_is_nobody() -> None:
    rules = [Rule.parse("203.0.113.0/25", "ACCEPT"), Rule.parse("203.0.113.128/25", "ACCEPT")]
    told = [
        service(lease_parts(), BALANCED, seen)["spec"]["loadBalancerSourceRanges"]
        for seen in (rules, [Rule.parse("203.0.113.7", "DROP")], [Rule.parse("2001:db8::/32", "ACCEPT")])
    ]
    assert told == [["203.0.113.0/24"], [NOBODY], [NOBODY]]


@pytest.mark.parametrize("config", [EXACT, replace(BALANCED, sources=Sources.ANY)])
def test_nothing_else_is_told_whom_the_rules_let_in(config: Config) -> None:
    spec = service(lease_parts(), config, [Rule.parse("203.0.113.7", "ACCEPT")])["spec"]
    assert "loadBalancerSourceRanges" not in spec


def test_no_address_before_service_and_node_are_known() -> None:
    assert announced(None, node(("InternalIP", "10.1.0.1")), {}) == (None, "")
    assert announced(node_port_service(), None, {}) == (None, "")
    assert announced(node_port_service(), node(("InternalIP", "fd00::1")), {}) == (
        None,
        "the node node-1 has no IPv4 address",
    )


MACHINES = (ip_network("192.168.7.0/24"),)
PLACES = {"public": "8.8.8.8", "machine": "192.168.7.4", "lab": "192.168.9.4", "cluster": "10.1.2.3", "node": "8.8.4.4"}
PLACES |= {"metadata": "169.254.169.254", "wireserver": "168.63.129.16", "translated": "64:ff9b::a9fe:a9fe"}


@pytest.mark.parametrize(
    ("network", "reached"),
    [
        ({}, {"public"}),
        ({"egress": "open"}, {"public"}),
        ({"egress": "open", "allowed": ["192.168.0.0/16"]}, {"public", "lab"}),
        ({"egress": "list", "allowed": ["192.168.9.4/32"]}, {"lab"}),
        ({"egress": "list", "allowed": ["0.0.0.0/0", "::/0"]}, {"public", "lab"}),
        ({"egress": "none"}, set()),
    ],
)
@pytest.mark.parametrize(
    "made",
    [
        lambda lease, config: policy(lease, (), config),
        closed_policy,
        lambda lease, config: type_policy(lease.type, config),
    ],
)
def test_egress_is_what_the_type_says_without_what_is_out_of_reach(
    network: dict[str, Any], reached: set[str], made: Callable[[LeaseParts, Config], Object]
) -> None:
    config = replace(
        CONFIG, blocked=(ip_network("10.0.0.0/8"),), machines=MACHINES, own_networks=(ip_network("8.8.4.4/32"),)
    )
    egress = made(lease_parts(network=network), config)["spec"]["egress"]
    blocks = [peer["ipBlock"] for entry in egress for peer in entry["to"] if "ipBlock" in peer]
    assert {name for name, text in PLACES.items() if any(_in_block(ip_address(text), one) for one in blocks)} == reached
    ports = {port["port"] for entry in egress for port in entry.get("ports", ())}
    assert (53 in ports) is bool(reached), "names are of use only where something is reached"


def _in_block(address: IPv4Address | IPv6Address, block: Object) -> bool:
    inside, *holes = (ip_network(text) for text in (block["cidr"], *block.get("except", ())))
    return address in inside and not any(address in hole for hole in holes)


def test_names_are_asked_of_the_resolvers_that_a_value_names_and_of_no_others() -> None:
    config = replace(CONFIG, resolvers=(ip_address("192.0.2.53"), ip_address("2001:db8::53")))
    (*_, dns) = policy(lease_parts(), (), config)["spec"]["egress"]
    assert dns["to"] == [{"ipBlock": {"cidr": "192.0.2.53/32"}}, {"ipBlock": {"cidr": "2001:db8::53/128"}}]
    assert {port["port"] for port in dns["ports"]} == {53}
    for spec in (
        pod(lease_parts(), config)["spec"],
        job(lease_parts(), "reset", "0a1b2c3d", Hook(command=["/reset"]), config)["spec"]["template"]["spec"],
    ):
        assert (spec["dnsPolicy"], spec["dnsConfig"]) == ("None", {"nameservers": ["192.0.2.53", "2001:db8::53"]})
    assert "dnsPolicy" not in pod(lease_parts(), CONFIG)["spec"]


def test_ingress_is_exact_or_left_to_the_agent() -> None:
    rules = desired.compiled([rule("a", "198.51.100.7/32")])
    exact = policy(lease_parts(), rules, EXACT)["spec"]["ingress"][0]
    assert exact["from"] == [{"ipBlock": {"cidr": "198.51.100.7/32"}}]
    loose = policy(lease_parts(), rules, CONFIG)["spec"]["ingress"][0]
    assert "from" not in loose


def test_the_policy_of_a_type_holds_pods_of_leases_and_no_pod_of_a_hook() -> None:
    selector = type_policy(type_(), CONFIG)["spec"]["podSelector"]["matchLabels"]
    assert selector.items() <= pod(lease_parts(), CONFIG)["metadata"]["labels"].items()
    hook = job(lease_parts(), "reset", "0a1b2c3d", Hook(command=["/reset"]), CONFIG)
    assert not selector.items() <= hook["spec"]["template"]["metadata"]["labels"].items()


def test_the_policy_of_a_type_lets_users_in_where_each_lease_has_none_of_its_own() -> None:
    users, operator = type_policy(type_(), CONFIG)["spec"]["ingress"]
    assert users == {"ports": [{"protocol": "TCP", "port": 22}]}
    assert type_policy(type_(), EXACT)["spec"]["ingress"] == [operator]
    assert [sorted(peer) for peer in operator["from"]] == [["namespaceSelector", "podSelector"]]


def test_the_policy_of_a_type_opens_the_port_of_a_vpn_that_the_release_offers() -> None:
    users, _ = type_policy(type_(), replace(CONFIG, vpn=VPN))["spec"]["ingress"]
    assert users["ports"] == [{"protocol": "TCP", "port": 22}, {"protocol": "UDP", "port": 1194}]


def test_a_type_that_comes_again_has_another_version_of_its_policy() -> None:
    again = type_().model_copy(update={"metadata": type_().metadata.model_copy(update={"uid": "another"})})
    assert type_policy(again, CONFIG) != type_policy(type_(), CONFIG)


@pytest.mark.parametrize(
    ("address", "source"), [("198.51.100.7", "198.51.100.7/32"), ("2001:db8::7", "2001:db8::7/128")]
)
def test_the_first_rule_lets_the_requester_in(address: str, source: str) -> None:
    first = desired.first_rule(instance(requesterAddress=address))
    assert first is not None
    assert first["metadata"]["name"] == f"{ID}-0"
    assert first["spec"] == {"instance": ID, "order": 0, "source": source, "action": "ACCEPT"}
    assert first["metadata"]["ownerReferences"][0]["uid"] == f"uid-of-{ID}"


def test_no_address_no_first_rule() -> None:
    assert desired.first_rule(bound()) is None


def test_rules_are_met_by_order_then_name_and_deleted_ones_not() -> None:
    rules = [
        rule("b", "198.51.100.2/32", order=1),
        rule("a", "198.51.100.1/32", order=1),
        rule("c", "198.51.100.3/32", order=0),
        rule("d", "198.51.100.4/32", deletionTimestamp="2026-11-25T12:00:00Z"),
    ]
    assert [r.metadata.name for r in desired.ordered(rules)] == ["c", "a", "b"]


def test_a_push_is_stamped_with_the_digest_of_its_rules() -> None:
    body = desired.body(desired.compiled([rule("a", "198.51.100.7/32")]), "10.0.0.5")
    first, second = desired.push(body, 3, 1, ["k"]), desired.push(body, 3, 2, ["k"])
    assert first.digest == second.digest == digest_of(second.ruleset)
    assert f"berth e3 g2 {second.digest}" in second.ruleset
    assert "10.0.0.5" in body
