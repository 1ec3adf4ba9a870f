"""An owner cannot make the operator connect to anything but machines."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from berth_core.firewall import Network, special
from berth_core.firewall.special import Address
from berth_core.machines.reach import Networks, why_refused
from berth_operator.presence.target import Problem, Target, machine_address, target_of

from ..samples import deployment

ALL: tuple[Network, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))
LAB = Networks((ip_network("192.168.7.0/24"), ip_network("fd00:7::/64")))
ADDRESSES = st.one_of(
    st.ip_addresses(),
    st.sampled_from([network for table in (special.NEVER, special.NOT_PUBLIC) for network, _ in table]).flatmap(
        lambda network: st.ip_addresses(network=network)
    ),
)
NETWORKS = st.one_of(
    st.builds(lambda a, p: IPv4Network((a, p), strict=False), st.ip_addresses(v=4), st.integers(0, 32)),
    st.builds(lambda a, p: IPv6Network((a, p), strict=False), st.ip_addresses(v=6), st.integers(0, 128)),
)


def probed(networks: Networks = LAB, **spec: Any) -> Target | Problem | None:
    return target_of(deployment(**spec), networks)


@given(ADDRESSES, st.lists(NETWORKS, max_size=4), st.lists(NETWORKS, max_size=4))
@example(IPv6Address("::ffff:169.254.169.254"), [*ALL], [])
@example(IPv4Address("192.168.7.1"), [*ALL], [])
def test_only_addresses_in_networks_of_machines_and_in_no_closed_one_are_connected_to(
    address: Address, machines: list[Network], closed: list[Network]
) -> None:
    if why_refused(address, Networks(tuple(machines), tuple(closed))):
        return
    assert special.within(address, machines)
    assert not special.within(address, closed)
    assert special.never(address) is None
    assert special.carried(address) is None
    kinds = (address.is_loopback, address.is_link_local, address.is_unspecified, address.is_multicast)
    assert not any(kinds)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("127.200.3.4", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "an IPv4 address inside"),
        ("0.0.0.0", "unspecified"),  # noqa: S104 (an address that is refused)
        ("0.1.2.3", "unspecified"),
        ("::", "unspecified"),
        ("169.254.169.254", "link-local"),
        ("168.63.129.16", "a metadata service"),
        ("fd00:ec2::254", "a metadata service"),
        ("fe80::1", "link-local"),
        ("fd00:7::1%eth0", "link-local"),
        ("64:ff9b::a9fe:a9fe", "an IPv4 address inside"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "reserved"),
    ],
)
def test_special_addresses_stay_closed_even_if_every_network_is_one_of_machines(address: str, why: str) -> None:
    assert why in why_refused(ip_address(address), Networks(ALL))


def test_by_default_nothing_is_connected_to() -> None:
    told = probed(Networks(), health={"tcp": 30002, "host": "192.168.7.9"})
    assert isinstance(told, Problem)
    assert told.reason == "AddressForbidden"
    assert "192.168.7.9 is not probed" in told.message
    assert "instances.machineCidrs" in told.message


def test_the_clusters_own_networks_stay_closed_inside_of_those_of_machines() -> None:
    networks = Networks((ip_network("10.0.0.0/8"),), (ip_network("10.96.0.0/12"), ip_network("10.1.2.3/32")))
    assert why_refused(ip_address("10.96.0.1"), networks).startswith("it is in the cluster's own networks")
    assert why_refused(ip_address("10.1.2.3"), networks)
    assert why_refused(ip_address("10.1.2.4"), networks) == ""


@pytest.mark.parametrize(
    ("addresses", "first"),
    [
        (["192.168.7.40/32", "192.168.7.41/32"], "192.168.7.40"),
        (["192.168.7.32/30"], "192.168.7.32"),
        (["fd00:7::2/128"], "fd00:7::2"),
    ],
)
def test_the_first_address_of_the_first_network_is_the_machines(addresses: list[str], first: str) -> None:
    assert machine_address(deployment(machine={"network": {"addresses": addresses}})) == first


def test_the_probe_goes_to_the_machines_address_unless_another_is_named() -> None:
    machine = {"network": {"addresses": ["192.168.7.40/32"]}}
    assert probed(machine=machine) is None
    assert str(probed(machine=machine, health={"tcp": 30002})) == "tcp 192.168.7.40:30002"
    assert str(probed(machine=machine, health={"tcp": 1, "host": "fd00:7:0::9"})) == "tcp [fd00:7::9]:1"
    asked = {"http": {"port": 443, "path": "/ok?a", "tls": True}}
    assert str(probed(machine=machine, health=asked)) == "GET https://192.168.7.40:443/ok?a"


@pytest.mark.parametrize(
    "spec",
    [
        {"health": {"tcp": 1}},
        {"health": {"tcp": 1}, "machine": {"network": {"addresses": ["robot.lab"]}}},
        {"health": {"tcp": 1, "host": "robot.lab"}},
        {"health": {"tcp": 1, "host": "192.168.7.040"}},
    ],
)
def test_a_probe_without_a_literal_address_says_so(spec: dict[str, Any]) -> None:
    told = probed(**spec)
    assert isinstance(told, Problem)
    assert told.reason == "AddressMissing"
