"""Endpoints of machines: two overlap where a packet belongs to both, and walls open them and nothing else."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.firewall import (
    Egress,
    Endpoints,
    Machines,
    OperatorPods,
    PolicyRequest,
    PortRange,
    Sources,
    closed_ruleset,
    network_policy,
    ruleset_body,
    special,
)
from berth_core.firewall.endpoints import merged

BASE, BASE6 = int(IPv4Address("192.0.2.0")), IPv6Network("2001:db8::/125")
LAB = (IPv4Network("192.0.2.0/24"), IPv6Network("2001:db8:7::/64"))
ARM = Endpoints((IPv4Network("192.0.2.40/32"), IPv6Network("2001:db8:7::40/128")), (PortRange("TCP", 30002, 30002),))

ranges = st.builds(
    lambda protocol, first, length: PortRange(protocol, first, first + length),
    st.sampled_from(["TCP", "UDP"]),
    st.integers(1, 12),
    st.integers(0, 4),
)
networks = st.one_of(
    st.builds(
        lambda offset, bits: IPv4Network((BASE + (offset >> bits << bits), 32 - bits)),
        st.integers(0, 7),
        st.integers(0, 3),
    ),
    st.integers(0, 7).map(lambda last: IPv6Network((int(BASE6[0]) + last, 128))),
)
endpoints = st.builds(
    Endpoints, st.lists(networks, min_size=1, max_size=3).map(tuple), st.lists(ranges, max_size=3).map(tuple)
)


def packets(one: Endpoints) -> set[tuple[str, str, int]]:
    """Every address, protocol and port that belongs to endpoints, in the small world of this test."""
    ports = [(r.protocol, port) for r in one.ports for port in range(r.first, r.last + 1)]
    if not one.ports:
        ports = [(protocol, port) for protocol in ("TCP", "UDP") for port in range(17)]
    return {(str(a), *port) for network in one.networks for a in network for port in ports}


@given(endpoints, endpoints)
def test_two_overlap_exactly_where_a_packet_belongs_to_both(one: Endpoints, two: Endpoints) -> None:
    assert one.overlaps(two) == two.overlaps(one) == bool(packets(one) & packets(two))


@given(st.lists(ranges, max_size=6))
def test_merged_ranges_have_the_same_ports_and_none_twice(ports: list[PortRange]) -> None:
    result = merged(ports)
    flat = [(r.protocol, port) for r in result for port in range(r.first, r.last + 1)]
    assert sorted(set(flat)) == sorted(flat)
    assert set(flat) == {(r.protocol, port) for r in ports for port in range(r.first, r.last + 1)}


def output(text: str) -> list[str]:
    return [line.strip() for line in text.split("chain output {")[1].split("}\n\tchain")[0].splitlines()]


def test_the_closed_ruleset_drops_the_networks_of_machines_in_every_form() -> None:
    lines = output(closed_ruleset(1, machines=Machines(LAB)))
    (four,) = (line for line in lines if line.startswith("ip daddr") and "192.0.2.0/24" in line)
    (six,) = (line for line in lines if line.startswith("ip6 daddr") and "2001:db8:7::/64" in line)
    assert four.endswith("drop")
    assert six.endswith("drop")
    for form in special.forms(LAB[0]):
        assert str(form) in six
    assert lines.index(four) < next(i for i, line in enumerate(lines) if "dport 53" in line), "DNS is no way around"


def test_a_lease_reaches_its_own_endpoints_before_the_drop_and_at_its_end_only_what_stands() -> None:
    lines = output(ruleset_body((), machines=Machines(LAB, ARM)))
    opened = [line for line in lines if line.endswith("accept") and "30002" in line]
    assert opened == [
        "ip daddr { 192.0.2.40/32 } tcp dport { 30002 } accept",
        "ip6 daddr { 2001:db8:7::40/128 } tcp dport { 30002 } accept",
    ]
    assert lines.index(opened[-1]) < next(i for i, line in enumerate(lines) if "192.0.2.0/24" in line)
    ending = [line for line in output(ruleset_body((), machines=Machines(LAB, ARM), ended=True)) if "30002" in line]
    assert all("ct state established" in line for line in ending)
    assert len(ending) == 2


def test_without_networks_of_machines_the_ruleset_is_that_of_before() -> None:
    assert ruleset_body(()) == ruleset_body((), machines=Machines())


def test_a_resolver_among_the_machines_answers_dns_and_nothing_else() -> None:
    machines = Machines(LAB, resolvers=(ip_network("192.0.2.53"),))
    (line,) = (line for line in output(ruleset_body((), machines=machines)) if "192.0.2.53" in line)
    assert line == "ip daddr { 192.0.2.53/32 } meta l4proto { 6, 17 } th dport 53 accept"


NOWHERE = Egress()


def policy(machine: Endpoints | None, egress: Egress = NOWHERE, **more: Any) -> list[dict[str, Any]]:
    request = PolicyRequest(
        "i-1", "lab", {}, {}, (), OperatorPods("berth"), egress=egress, machines=Machines(opened=machine), **more
    )
    rules: list[dict[str, Any]] = network_policy(request)["spec"]["egress"]
    return rules


def test_the_policy_opens_exactly_the_endpoints_besides_what_the_type_allows() -> None:
    ports = (PortRange("UDP", 7400, 7500), PortRange("TCP", 22, 22))
    (rule,) = policy(Endpoints(ARM.networks, ports))
    assert [peer["ipBlock"] for peer in rule["to"]] == [{"cidr": "192.0.2.40/32"}, {"cidr": "2001:db8:7::40/128"}]
    assert rule["ports"] == [{"protocol": "TCP", "port": 22}, {"protocol": "UDP", "port": 7400, "endPort": 7500}]
    assert "ports" not in policy(Endpoints(ARM.networks))[0]
    egress = Egress(public=True, blocked=LAB)
    assert policy(ARM, egress)[:-1] == policy(None, egress)


def test_the_policy_lets_the_machine_in_at_its_inbound_ports_only() -> None:
    entry = {
        "from": [{"ipBlock": {"cidr": "192.0.2.40/32"}}, {"ipBlock": {"cidr": "2001:db8:7::40/128"}}],
        "ports": [{"protocol": "UDP", "port": 7400}],
    }
    entries = [
        network_policy(
            PolicyRequest("i-1", "lab", {}, {}, (), OperatorPods("berth"), machines=machines, sources=Sources.EXACT)
        )["spec"]["ingress"]
        for machines in (
            Machines(LAB, ARM, inbound=(PortRange("UDP", 7400, 7400),)),
            Machines(LAB, ARM),
            Machines(LAB, inbound=(PortRange("UDP", 7400, 7400),)),
        )
    ]
    assert [entry in ingress for ingress in entries] == [True, False, False]
    assert [len(ingress) for ingress in entries] == [2, 1, 1], "the other entry is the operator's"


@pytest.mark.parametrize("machine", [None, Endpoints((LAB[1],))])
def test_a_policy_without_an_address_to_open_has_no_entry_for_it(machine: Endpoints | None) -> None:
    """An entry without peers would mean everybody."""
    assert policy(machine, ip_versions=frozenset({4})) == []


@given(endpoints)
def test_the_policy_s_entry_has_the_packets_of_the_endpoints(one: Endpoints) -> None:
    (rule,) = policy(one)
    cidrs = [ip_network(peer["ipBlock"]["cidr"]) for peer in rule["to"]]
    entries = rule.get("ports", [])
    for address, protocol, port in packets(one):
        assert any(ip_address(address) in cidr for cidr in cidrs if cidr.version == ip_address(address).version)
        assert not entries or any(
            entry["protocol"] == protocol and entry["port"] <= port <= entry.get("endPort", entry["port"])
            for entry in entries
        )
