"""Where machines may stand, and which of several deployments has an endpoint."""

import re
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.firewall import Endpoints, PortRange
from berth_core.machines.placement import IN_USE, NOT_GRANTED, OUT_OF_REACH, OUTSIDE, Fault, Grounds
from berth_core.machines.sharing import Claimant, blocks, in_use, record
from berth_core.machines.sharing import claimant as claimed
from berth_core.resources import WorkspaceDeployment
from berth_core.resources.machines.network import MachineEndpoints, MachineNetwork

GROUNDS = Grounds(
    machines=(ip_network("192.0.2.0/24"), ip_network("2001:db8:7::/48"), ip_network("169.254.0.0/16")),
    closed=(ip_network("192.0.2.128/28"),),
    resolvers=(ip_network("192.0.2.53"),),
)


def network(*addresses: str, ports: tuple[int, ...] = ()) -> MachineNetwork:
    return MachineNetwork.model_validate({"addresses": addresses, "ports": [{"port": port} for port in ports]})


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("192.0.2.40/32", None),
        ("192.0.2.32/29", None),
        ("2001:db8:7::40/128", None),
        ("192.0.3.1/32", OUTSIDE),
        ("8.8.8.8/32", OUTSIDE),
        ("2001:db8:8::1/128", OUTSIDE),
        ("192.0.2.130/32", OUT_OF_REACH),
        ("192.0.2.0/24", OUT_OF_REACH),
        ("192.0.2.53/32", OUT_OF_REACH),
        ("169.254.169.254/32", OUT_OF_REACH),
        ("64:ff9b::c000:228/128", OUT_OF_REACH),
        ("2002:c000:228::1/128", OUT_OF_REACH),
    ],
)
def test_an_address_is_lent_only_among_the_machines_and_never_where_nobody_gets(
    address: str, reason: str | None
) -> None:
    fault = GROUNDS.fault(network("192.0.2.40/32", address))
    assert (fault.reason if fault else None) == reason
    assert fault is None or address in fault.message
    opened = GROUNDS.opened(network("192.0.2.40/32", address, ports=(22,)))
    assert opened is not None
    assert (ip_network(address) in opened.networks) == (reason is None), (
        "an address that may not be lent is never opened"
    )
    assert ip_network("192.0.2.40/32") in opened.networks


def test_ipv4_in_mapped_form_is_the_ipv4_address() -> None:
    assert GROUNDS.opened(network("::ffff:192.0.2.40/128")) == GROUNDS.opened(network("192.0.2.40/32"))


def test_without_networks_of_machines_nothing_is_lent() -> None:
    fault = Grounds().fault(network("192.0.2.40/32"))
    assert fault is not None
    assert fault.reason == OUTSIDE
    assert Grounds().opened(network("192.0.2.40/32")) is None


def test_a_pod_without_a_lease_has_no_machine_and_resolvers_only_where_machines_stand() -> None:
    around = replace(GROUNDS, resolvers=(*GROUNDS.resolvers, ip_network("9.9.9.9"))).around(None)
    assert around.opened is None
    assert around.networks == GROUNDS.machines
    assert around.resolvers == (ip_network("192.0.2.53"),)


addresses = st.one_of(
    st.builds(
        lambda offset, bits: IPv4Network((0xC0000200 + (offset >> bits << bits), 32 - bits)),
        st.integers(0, 1023),
        st.integers(0, 8),
    ),
    st.builds(
        lambda offset, bits: IPv6Network(((0x20010DB8 << 96) + (offset >> bits << bits), 128 - bits)),
        st.integers(0, 2**66),
        st.integers(0, 64),
    ),
)


@given(addresses, addresses)
def test_networks_that_overlap_have_a_block_in_common(
    one: IPv4Network | IPv6Network, two: IPv4Network | IPv6Network
) -> None:
    if Endpoints((one,)).overlaps(Endpoints((two,))):
        assert set(blocks([str(one)])) & set(blocks([str(two)]))


@given(addresses, addresses, addresses)
def test_what_two_have_in_common_is_what_overlaps_with_both(
    one: IPv4Network | IPv6Network, two: IPv4Network | IPv6Network, point: IPv4Network | IPv6Network
) -> None:
    first, second = Endpoints((one,), (PortRange("TCP", 1, 5),)), Endpoints((two,), (PortRange("TCP", 4, 9),))
    common = first.common(second)
    assert (common is not None) == first.overlaps(second)
    for port in (3, 4, 5, 6):
        host = Endpoints((ip_network(point[0]),), (PortRange("TCP", port, port),))
        in_both = first.overlaps(host) and second.overlaps(host)
        assert in_both == (common is not None and common.overlaps(host))


def test_all_ports_and_some_have_these_in_common() -> None:
    every, some = Endpoints((ip_network("192.0.2.0/24"),)), network("192.0.2.40/32", ports=(22,)).reached()
    assert every.common(some) == some.common(every) == some


def claimant(
    name: str,
    *ports: int,
    created: str = "2026-11-25T12:00:00Z",
    held: tuple[int, ...] | None = None,
    recorded: tuple[int, ...] | None = None,
) -> Claimant:
    def reached(numbers: tuple[int, ...] | None) -> Endpoints | None:
        return network("192.0.2.40/32", ports=numbers).reached() if numbers is not None else None

    return Claimant("lab", name, f"uid-{name}", created, reached(ports), reached(held), reached(recorded))


def test_two_share_an_address_with_ports_that_differ() -> None:
    one, two = claimant("a", 22), claimant("b", 23)
    assert in_use(one, [two]) is None
    assert in_use(two, [one]) is None


def test_of_two_that_overlap_the_older_is_lent_and_the_younger_says_so() -> None:
    elder, younger = claimant("b", 22, created="2026-11-25T11:00:00Z"), claimant("a", 22)
    assert in_use(elder, [younger]) is None
    fault = in_use(younger, [elder])
    assert fault is not None
    assert fault.reason == IN_USE
    assert "lab/b" in fault.message


def test_a_lease_keeps_its_endpoints_from_an_older_deployment_that_names_them_since() -> None:
    elder = claimant("b", 22, created="2026-11-25T11:00:00Z")
    running = claimant("a", 23, held=(22,))
    fault = in_use(elder, [running])
    assert fault is not None
    assert "lease" in fault.message
    assert in_use(replace(elder, named=None), [running]) is None


def test_the_first_to_name_an_endpoint_keeps_it_from_an_older_one_that_names_it_since() -> None:
    elder = claimant("b", 22, 23, created="2026-11-25T11:00:00Z", recorded=(23,))
    first = claimant("a", 22, recorded=(22,))
    assert in_use(first, [elder]) is None
    fault = in_use(elder, [first])
    assert fault is not None
    assert "named them first" in fault.message
    assert in_use(claimant("c", 23), [elder]) is not None, "it keeps what it had"
    moved = replace(elder, named=claimant("", 24).named)
    assert in_use(claimant("c", 23), [moved]) is None, "until it names that no more"


ARM: dict[str, Any] = {"network": {"addresses": ["192.0.2.40/32"], "ports": [{"port": 22}], "inbound": [{"port": 1}]}}
HAD = MachineEndpoints(addresses=["192.0.2.41/32"])


def named(machine: dict[str, Any] = ARM, /, conditions: tuple[str, ...] = (), **spec: Any) -> WorkspaceDeployment:
    """A deployment that had another address, and names one. Conditions are written as type=status:reason."""
    told = [
        {"type": kind, "status": status, "reason": reason, "lastTransitionTime": "2026-11-25T12:00:00Z"}
        for kind, status, reason in (re.split("[=:]", one) for one in conditions)
    ]
    metadata = {"name": "arm", "namespace": "lab", "uid": "u", "creationTimestamp": "2026-11-25T12:00:00Z"}
    status = {"endpoints": HAD.wire(), "conditions": told}
    written = {"type": "bench", "machine": machine, **spec}
    return WorkspaceDeployment.parse({"metadata": metadata, "spec": written, "status": status})


@pytest.mark.parametrize(
    ("reason", "spec", "kept"),
    [
        (None, {}, ["192.0.2.40/32"]),
        ("DeviceMissing", {}, ["192.0.2.40/32"]),
        (IN_USE, {}, ["192.0.2.41/32"]),
        (NOT_GRANTED, {}, None),
        (OUTSIDE, {}, None),
        (None, {"dissolved": "2026-11-25T12:00:00Z"}, None),
        (None, {"machine": {}}, None),
    ],
)
def test_a_record_is_of_what_may_be_lent(reason: str | None, spec: dict[str, Any], kept: list[str] | None) -> None:
    found = record(named(**spec), Fault(reason, "it is so") if reason else None, conflict=False)
    assert (found.addresses if found is not None else None) == kept
    assert record(named(), None, conflict=True) is None


@pytest.mark.parametrize(
    ("conditions", "counts"),
    [
        ((), True),
        (("Online=True:NoHeartbeat", "IdConflict=False:Unique"), True),
        (("Online=False:EndpointInUse",), True),
        (("Online=False:NotGranted",), False),
        (("Online=False:OutsideMachineNetworks",), False),
        (("IdConflict=True:IdConflict",), False),
    ],
)
def test_a_deployment_that_may_not_be_lent_blocks_nobody(conditions: tuple[str, ...], *, counts: bool) -> None:
    machine = named(conditions=conditions)
    assert (claimed(machine).named is not None) == counts
    assert (claimed(machine).first is not None) is False, "it no longer names that"
    assert claimed(machine, own=True).named is not None


PORTS = st.lists(st.integers(1, 6), max_size=2).map(tuple)


SOME = st.one_of(st.none(), PORTS)


@given(st.lists(st.tuples(PORTS, st.sampled_from(["T1", "T2"]), SOME), min_size=2, max_size=6))
def test_no_two_that_overlap_are_lent_at_once_and_without_records_one_of_them_is(
    made: list[tuple[tuple[int, ...], str, tuple[int, ...] | None]],
) -> None:
    everyone = [
        claimant(f"d{number}", *ports, created=at, recorded=recorded)
        for number, (ports, at, recorded) in enumerate(made)
    ]
    lent = [one for one in everyone if in_use(one, [other for other in everyone if other is not one]) is None]
    for one, two in combinations(lent, 2):
        assert one.named is not None
        assert two.named is not None
        assert not one.named.overlaps(two.named)
    if all(one.first is None for one in everyone):
        assert min(everyone, key=lambda one: one.age) in lent


@given(st.lists(st.tuples(PORTS, st.one_of(st.none(), PORTS)), min_size=2, max_size=6))
def test_nobody_is_lent_what_a_lease_of_another_holds(
    made: list[tuple[tuple[int, ...], tuple[int, ...] | None]],
) -> None:
    everyone = [claimant(f"d{number}", *ports, held=held) for number, (ports, held) in enumerate(made)]
    for one in everyone:
        others = [other for other in everyone if other is not one]
        if in_use(one, others) is None and one.named is not None:
            assert not any(other.held.overlaps(one.named) for other in others if other.held is not None)


def test_ports_are_a_range_or_one() -> None:
    ports = [{"protocol": "UDP", "port": 7400, "endPort": 7500}, {"port": 22}]
    reached = MachineNetwork.model_validate({"addresses": ["192.0.2.40/32"], "ports": ports}).reached()
    assert reached.ports == (PortRange("UDP", 7400, 7500), PortRange("TCP", 22, 22))
