from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from berth_core.firewall import Egress, OperatorPods, PolicyRequest, Rule, Sources, network_policy, parse_source

from .strategies import rules

REQUEST = PolicyRequest(
    name="i-7",
    namespace="berth-workspaces",
    labels={"berth.dev/instance": "7"},
    selector={"berth.dev/instance": "7"},
    rules=[Rule.parse("203.0.113.7", "ACCEPT")],
    operator=OperatorPods("berth"),
)
OPERATOR_ONLY = {
    "from": [
        {
            "podSelector": {"matchLabels": {"app.kubernetes.io/component": "operator"}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "berth"}},
        }
    ],
    "ports": [{"protocol": "TCP", "port": 8470}, {"protocol": "TCP", "port": 22}],
}
SSH = [{"protocol": "TCP", "port": 22}]


def spec(**changes: Any) -> dict[str, Any]:
    built: dict[str, Any] = network_policy(replace(REQUEST, **changes))["spec"]
    return built


def test_the_policy_is_named_labelled_and_selects_the_instance() -> None:
    policy = network_policy(REQUEST)
    assert policy["metadata"] == {
        "name": "i-7",
        "namespace": "berth-workspaces",
        "labels": {"berth.dev/instance": "7"},
    }
    assert policy["spec"]["podSelector"] == {"matchLabels": {"berth.dev/instance": "7"}}
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_exact_sources_reach_the_users_ports() -> None:
    ports = [("TCP", 22), ("UDP", 1194)]
    users, operator = spec(ports=ports)["ingress"]
    assert users == {
        "from": [{"ipBlock": {"cidr": "203.0.113.7/32"}}],
        "ports": [*SSH, {"protocol": "UDP", "port": 1194}],
    }
    assert operator == OPERATOR_ONLY


def test_no_accepted_source_is_no_entry_and_not_an_empty_from() -> None:
    """An empty or missing ``from`` means everybody."""
    for ruleset in ([], [Rule.parse("0.0.0.0/0", "DROP")], [Rule.parse("203.0.113.7", "REJECT")]):
        assert spec(rules=ruleset)["ingress"] == [OPERATOR_ONLY]


def test_sources_of_an_ip_version_that_the_cluster_lacks_are_left_out() -> None:
    ruleset = [Rule.parse("2001:db8::/32", "ACCEPT")]
    assert spec(rules=ruleset, ip_versions=frozenset({4}))["ingress"] == [OPERATOR_ONLY]


def test_any_source_leaves_the_decision_to_nftables() -> None:
    assert spec(sources=Sources.ANY, rules=[])["ingress"] == [{"ports": SSH}, OPERATOR_ONLY]


def test_exceptions_are_written_as_such() -> None:
    ruleset = [Rule.parse("203.0.113.7", "DROP"), Rule.parse("0.0.0.0/0", "ACCEPT")]
    assert spec(rules=ruleset)["ingress"][0]["from"] == [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["203.0.113.7/32"]}}
    ]


BLOCKED = [parse_source(net) for net in ("10.96.0.0/16", "169.254.169.254", "198.18.0.1", "fd00::/64")]
DNS = ({"kubernetes.io/metadata.name": "kube-system"}, {"k8s-app": "kube-dns"})
DNS_RULE = {
    "to": [{"namespaceSelector": {"matchLabels": DNS[0]}, "podSelector": {"matchLabels": DNS[1]}}],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}


def test_open_egress_excepts_what_is_blocked() -> None:
    assert spec(egress=Egress(blocked=BLOCKED, dns_labels=DNS))["egress"] == [
        {
            "to": [
                {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.96.0.0/16", "169.254.169.254/32", "198.18.0.1/32"]}},
                {"ipBlock": {"cidr": "::/0", "except": ["fd00::/64"]}},
            ]
        },
        DNS_RULE,
    ]


def test_no_egress_is_no_entry_not_even_dns() -> None:
    assert spec(egress=Egress(networks=(), blocked=BLOCKED, dns_labels=DNS))["egress"] == []


def test_listed_egress_never_reaches_what_is_blocked() -> None:
    wanted = [parse_source(net) for net in ("10.96.3.0/24", "198.18.0.0/24", "192.0.2.1")]
    assert spec(egress=Egress(networks=wanted, blocked=BLOCKED))["egress"] == [
        {
            "to": [
                {"ipBlock": {"cidr": "192.0.2.1/32"}},
                {"ipBlock": {"cidr": "198.18.0.0/24", "except": ["198.18.0.1/32"]}},
            ]
        }
    ]


def test_egress_to_blocked_networks_alone_is_no_entry() -> None:
    wanted = [parse_source("10.96.3.0/24")]
    assert spec(egress=Egress(networks=wanted, blocked=BLOCKED))["egress"] == []


@given(rules())
def test_no_entry_ever_lacks_its_peers(ruleset: list[Rule]) -> None:
    built = spec(rules=ruleset, egress=Egress(networks=[rule.source for rule in ruleset], blocked=BLOCKED))
    for entry in built["ingress"]:
        assert entry["from"]
    for entry in built["egress"]:
        assert entry["to"]


@pytest.mark.parametrize("port", [8470, 22])
def test_the_operators_ports_are_for_its_pods_whatever_the_sources(port: int) -> None:
    entry = spec(sources=Sources.ANY)["ingress"][-1]
    assert {"protocol": "TCP", "port": port} in entry["ports"]
    assert entry["from"] == OPERATOR_ONLY["from"]
