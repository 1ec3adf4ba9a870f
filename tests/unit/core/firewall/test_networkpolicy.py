from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from berth_core.firewall import (
    Egress,
    Network,
    OperatorPods,
    PolicyRequest,
    Rule,
    Sources,
    network_policy,
    parse_source,
)

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


BLOCKED = tuple(parse_source(net) for net in ("10.96.0.0/16", "8.8.0.1", "2600::/64"))
DNS = [{"podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}]
DNS_RULE = {"to": DNS, "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}


def parsed(*texts: str) -> tuple[Network, ...]:
    return tuple(parse_source(text) for text in texts)


def test_public_egress_excepts_special_networks_and_what_is_blocked() -> None:
    public, dns = spec(egress=Egress(public=True, blocked=BLOCKED), dns=DNS)["egress"]
    assert dns == DNS_RULE
    four, six = (peer["ipBlock"] for peer in public["to"])
    assert (four["cidr"], six["cidr"]) == ("0.0.0.0/0", "2000::/3")
    assert {"10.0.0.0/8", "192.168.0.0/16", "169.254.0.0/16", "168.63.129.16/32", "8.8.0.1/32"} <= set(four["except"])
    assert {"2001:db8::/32", "2002::/16", "2600::/64"} <= set(six["except"])


def test_a_network_that_is_named_is_reached_beside_the_public_ones() -> None:
    (rule,) = spec(egress=Egress(parsed("10.0.0.0/8"), public=True, blocked=BLOCKED))["egress"]
    four = rule["to"][0]["ipBlock"]
    assert "10.96.0.0/16" in four["except"]
    assert "10.0.0.0/8" not in four["except"]


def test_no_egress_is_no_entry_not_even_dns() -> None:
    assert spec(egress=Egress(blocked=BLOCKED), dns=DNS)["egress"] == []


def test_listed_egress_never_reaches_what_is_blocked() -> None:
    wanted = parsed("10.96.3.0/24", "8.8.0.0/24", "192.0.2.1", "169.254.0.0/16")
    assert spec(egress=Egress(wanted, blocked=BLOCKED))["egress"] == [
        {
            "to": [
                {"ipBlock": {"cidr": "8.8.0.0/24", "except": ["8.8.0.1/32"]}},
                {"ipBlock": {"cidr": "192.0.2.1/32"}},
            ]
        }
    ]


def test_egress_to_blocked_networks_alone_is_no_entry() -> None:
    assert spec(egress=Egress(parsed("10.96.3.0/24"), blocked=BLOCKED))["egress"] == []


@given(rules())
def test_no_entry_ever_lacks_its_peers(ruleset: list[Rule]) -> None:
    built = spec(rules=ruleset, egress=Egress(tuple(rule.source for rule in ruleset), blocked=BLOCKED))
    for entry in built["ingress"]:
        assert entry["from"]
    for entry in built["egress"]:
        assert entry["to"]


@pytest.mark.parametrize("port", [8470, 22])
def test_the_operators_ports_are_for_its_pods_whatever_the_sources(port: int) -> None:
    entry = spec(sources=Sources.ANY)["ingress"][-1]
    assert {"protocol": "TCP", "port": port} in entry["ports"]
    assert entry["from"] == OPERATOR_ONLY["from"]
