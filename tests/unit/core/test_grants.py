"""Whether a machine is within a grant, held against a plain model of points: addresses and ports one by one."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.firewall import Network
from berth_core.machines.grants import Wanted, commanding_probe, fault, lack, stray_probe
from berth_core.machines.placement import NOT_GRANTED
from berth_core.resources import MachineGrant, WorkspaceDeployment
from berth_core.resources.machines.network import InboundPort, MachineNetwork
from berth_core.resources.workspacedeployment import Health

Point = tuple[int, int, str, int]
"""IP version, address, protocol, port. Protocol ICMP stands for all without ports."""


def grant(*networks: dict[str, Any], **spec: Any) -> MachineGrant:
    body = {"users": ["alice"], "types": ["lab_arm"], "networks": networks, "deployments": 2} | spec
    return MachineGrant.parse({"metadata": {"name": "lab", "namespace": "lab"}, "spec": body})


def entry(cidr: str, *ports: tuple[str, int, int]) -> dict[str, Any]:
    return {"cidr": cidr, "ports": [{"protocol": p, "port": first, "endPort": last} for p, first, last in ports]}


def machine(*addresses: str, ports: tuple[tuple[str, int, int], ...] = ()) -> MachineNetwork:
    written = [{"protocol": p, "port": first, "endPort": last} for p, first, last in ports]
    return MachineNetwork.model_validate({"addresses": addresses, "ports": written})


def wanted(network: MachineNetwork | None, owner: str = "alice", type_: str = "lab_arm") -> Wanted:
    return Wanted((owner,), type_, network)


ARM = entry("192.0.2.32/28", ("TCP", 30000, 30010), ("UDP", 7400, 7400))
SIX = entry("2001:db8:7::/64")


@pytest.mark.parametrize(
    ("network", "within"),
    [
        (machine("192.0.2.40/32", ports=(("TCP", 30002, 30002),)), True),
        (machine("192.0.2.32/28", ports=(("TCP", 30000, 30010), ("UDP", 7400, 7400))), True),
        (machine("192.0.2.40/32"), False),
        (machine("192.0.2.40/32", ports=(("UDP", 30002, 30002),)), False),
        (machine("192.0.2.40/32", ports=(("TCP", 30009, 30011),)), False),
        (machine("192.0.2.48/32", ports=(("TCP", 30002, 30002),)), False),
        (machine("192.0.2.0/24", ports=(("TCP", 30002, 30002),)), False),
        (machine("192.0.2.40/32", "192.0.2.48/32", ports=(("TCP", 30002, 30002),)), False),
        (machine("::ffff:192.0.2.40/128", ports=(("TCP", 30002, 30002),)), True),
        (machine("2001:db8:7::40/128"), True),
        (machine("2001:db8:7::40/128", ports=(("UDP", 1, 65535),)), True),
        (machine("2001:db8:8::40/128"), False),
        (machine("192.0.2.40/32", "2001:db8:7::40/128", ports=(("TCP", 30002, 30002),)), True),
        (machine("192.0.2.40/32", "2001:db8:7::40/128"), False),
        (None, True),
    ],
)
def test_each_address_of_a_machine_lies_with_each_port_in_one_entry(
    network: MachineNetwork | None, within: bool
) -> None:
    assert (lack(grant(ARM, SIX), wanted(network)) is None) == within


def test_parts_of_a_network_or_of_a_port_range_do_not_cover_it_together() -> None:
    halves = grant(entry("192.0.2.32/29"), entry("192.0.2.40/29"))
    assert lack(halves, wanted(machine("192.0.2.32/28"))) is not None
    assert lack(halves, wanted(machine("192.0.2.32/29", "192.0.2.40/29"))) is None
    ranges = grant(entry("192.0.2.40/32", ("TCP", 1, 9), ("TCP", 10, 20)))
    assert lack(ranges, wanted(machine("192.0.2.40/32", ports=(("TCP", 5, 15),)))) is not None
    assert lack(ranges, wanted(machine("192.0.2.40/32", ports=(("TCP", 5, 9), ("TCP", 10, 15))))) is None


def test_a_refusal_names_the_grant_and_the_part_that_is_outside() -> None:
    network = machine("192.0.2.40/32")
    assert "is for alice, and not for bob" in str(lack(grant(ARM), wanted(network, "bob")))
    assert "type lab_arm, and not lab_leg" in str(lack(grant(ARM), wanted(network, type_="lab_leg")))
    sentence = str(lack(grant(ARM), wanted(network)))
    assert "192.0.2.40/32 with all ports lies in no entry of MachineGrant lab" in sentence
    assert "192.0.2.32/28 with TCP 30000-30010 and UDP 7400" in sentence


def test_no_grant_lets_a_machine_connect_to_workspaces() -> None:
    network = machine("192.0.2.40/32", ports=(("TCP", 30002, 30002),))
    assert lack(grant(ARM), wanted(network)) is None
    network = network.model_copy(update={"inbound": [InboundPort(protocol="UDP", port=7400)]})
    assert "inbound" in str(lack(grant(ARM), wanted(network)))


def test_no_grant_gives_devices_of_nodes() -> None:
    device = {"name": "arm", "deviceClassName": "devices.berth.dev"}
    network = machine("192.0.2.40/32", ports=(("TCP", 30002, 30002),)).wire()
    assert fault(grant(ARM), deployment(machine={"network": network}), 0) is None
    refused = fault(grant(ARM), deployment(machine={"network": network, "devices": [device]}), 0)
    assert refused is not None
    assert "gives no devices" in refused.message


def deployment(**spec: Any) -> WorkspaceDeployment:
    network = machine("192.0.2.40/32", ports=(("TCP", 30002, 30002),)).wire()
    body = {"type": "lab_arm", "owners": ["alice"], "machine": {"network": network}, "grant": "lab"} | spec
    return WorkspaceDeployment.parse({"metadata": {"name": "arm", "namespace": "lab"}, "spec": body})


def test_a_registered_machine_is_lent_only_while_its_grant_covers_it() -> None:
    assert fault(grant(ARM), deployment(), 0) is None
    for one, wd, older in (
        (None, deployment(), 0),
        (grant(ARM), deployment(owners=["bob"]), 0),
        (grant(ARM), deployment(owners=[]), 0),
        (grant(SIX), deployment(), 0),
        (grant(ARM, types=["lab_leg"]), deployment(), 0),
        (grant(ARM), deployment(), 2),
    ):
        found = fault(one, wd, older)
        assert found is not None
        assert found.reason == NOT_GRANTED
        assert "administrator" in found.message


def test_the_grant_is_no_matter_of_retired_machines_and_of_those_of_administrators() -> None:
    assert fault(None, deployment(grant=None), 9) is None
    assert fault(None, deployment(dissolved="2026-01-01T00:00:00Z"), 9) is None


def test_one_of_several_owners_is_enough() -> None:
    assert fault(grant(ARM), deployment(owners=["bob", "alice"]), 1) is None


@pytest.mark.parametrize(
    ("health", "word"),
    [
        ({"tcp": 30002}, None),
        ({"http": {"port": 30002}}, None),
        ({"tcp": 22}, "port 22"),
        ({"http": {"port": 80}}, "port 80"),
        ({"tcp": 7400}, "port 7400"),
        ({"tcp": 30002, "host": "192.0.2.41"}, "192.0.2.41"),
    ],
)
def test_a_probe_asks_the_machine_itself(health: dict[str, Any], word: str | None) -> None:
    named = machine("192.0.2.40/32", ports=(("TCP", 30000, 30010), ("UDP", 7400, 7400)))
    said = stray_probe(Health.model_validate(health), named)
    assert said is None if word is None else word in str(said)


def test_a_probe_asks_any_port_of_a_machine_without_ports() -> None:
    assert stray_probe(Health(tcp=22), machine("192.0.2.40/32")) is None
    assert stray_probe(None, machine("192.0.2.40/32")) is None


@pytest.mark.parametrize(
    ("health", "word"),
    [
        ({"tcp": 30002, "duringLease": True}, None),
        ({"http": {"port": 80}}, None),
        ({"http": {"port": 80, "path": "/api/move?x=90"}}, "/api/move?x=90"),
        ({"http": {"port": 80, "path": "/?x=90"}}, "leave the path out"),
        ({"http": {"port": 80}, "duringLease": True}, "between leases only"),
    ],
)
def test_a_probe_of_an_owner_commands_nothing(health: dict[str, Any], word: str | None) -> None:
    said = commanding_probe(Health.model_validate(health))
    assert said is None if word is None else word in str(said)
    assert commanding_probe(None) is None


# A small world: 8 addresses of each IP version, and 6 ports of both protocols.
networks = st.one_of(
    st.builds(
        lambda at, bits: IPv4Network((0xC0000200 + (at >> bits << bits), 32 - bits)),
        st.integers(0, 7),
        st.integers(0, 3),
    ),
    st.builds(
        lambda at, bits: IPv6Network(((0x20010DB8 << 96) + (at >> bits << bits), 128 - bits)),
        st.integers(0, 7),
        st.integers(0, 3),
    ),
)
ports = st.lists(
    st.tuples(st.sampled_from(["TCP", "UDP"]), st.integers(1, 6), st.integers(0, 5)).map(
        lambda one: (one[0], one[1], min(6, one[1] + one[2]))
    ),
    max_size=3,
)
entries = st.builds(lambda network, some: entry(str(network), *some), networks, ports)
machines = st.builds(
    lambda several, some: machine(*map(str, several), ports=tuple(some)),
    st.lists(networks, min_size=1, max_size=3),
    ports,
)


def points(network: Network, some: list[tuple[str, int, int]]) -> Iterator[Point]:
    """Yield every point of a network with port ranges; without any, all of them and one without a port."""
    for address in network:
        if not some:
            yield network.version, int(address), "ICMP", 0
        for protocol, first, last in some or [("TCP", 1, 6), ("UDP", 1, 6)]:
            for port in range(first, last + 1):
                yield network.version, int(address), protocol, port


def granted_points(one: dict[str, Any]) -> set[Point]:
    return set(points(ip_network(one["cidr"]), [(p["protocol"], p["port"], p["endPort"]) for p in one["ports"]]))


def named_points(network: MachineNetwork) -> set[Point]:
    some = [(p.protocol, p.port, p.end_port or p.port) for p in network.ports]
    return {point for text in network.addresses for point in points(ip_network(text), list(some))}


@given(st.lists(entries, min_size=1, max_size=4), machines)
def test_a_machine_within_a_grant_has_no_point_outside_of_it(
    granted: list[dict[str, Any]], named: MachineNetwork
) -> None:
    union = set().union(*map(granted_points, granted))
    if lack(grant(*granted), wanted(named)) is None:
        assert named_points(named) <= union


@given(entries, machines)
def test_a_machine_whose_points_are_all_in_an_entry_with_one_range_is_within(
    one: dict[str, Any], named: MachineNetwork
) -> None:
    if len(one["ports"]) <= 1:
        assert (lack(grant(one), wanted(named)) is None) == (named_points(named) <= granted_points(one))


@given(st.lists(entries, min_size=1, max_size=3), entries, machines)
def test_one_more_entry_never_takes_a_machine_out(
    granted: list[dict[str, Any]], more: dict[str, Any], named: MachineNetwork
) -> None:
    if lack(grant(*granted), wanted(named)) is None:
        assert lack(grant(more, *granted), wanted(named)) is None
