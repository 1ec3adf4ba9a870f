"""The one list of special networks, and that egress follows it: by properties, against first principles."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.firewall import Egress, Network, egress_rules, parse_source, special
from berth_core.firewall.special import Address

METADATA = [
    "169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254",
    "fd00:ec2::23", "fd20:ce::254", "fd00:42::42", "fd00:c1::a9fe:a9fe", "fd00:a9fe:a9fe::1", "fe80::a9fe:a9fe",
]  # fmt: skip
EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))
FORMS: dict[str, Callable[[IPv4Address], IPv6Address]] = {
    "mapped": lambda four: IPv6Address(0xFFFF << 32 | int(four)),
    "translated": lambda four: IPv6Address(0xFFFF << 48 | int(four)),
    "compatible": lambda four: IPv6Address(int(four)),
    "NAT64": lambda four: IPv6Address(int(IPv6Address("64:ff9b::")) | int(four)),
    "6to4": lambda four: IPv6Address(0x2002 << 112 | int(four) << 80 | 7),
}

NAMED = [*special.NEVER, *special.NOT_PUBLIC]
EDGES = [
    ip_network((at, network.max_prefixlen)).network_address
    for network, _ in NAMED
    for first, last in [(int(network.network_address), int(network.broadcast_address))]
    for at in (first - 1, first, last, last + 1)
    if 0 <= at < 2**network.max_prefixlen
]


def fours() -> st.SearchStrategy[IPv4Address]:
    return st.sampled_from([one for one in EDGES if isinstance(one, IPv4Address)]) | st.builds(
        IPv4Address, st.integers(0, 2**32 - 1)
    )


def addresses() -> st.SearchStrategy[Address]:
    carrying = st.builds(lambda form, four: form(four), st.sampled_from(list(FORMS.values())), fours())
    public = st.integers(2**125, 2**126 - 1)
    sixes = st.sampled_from([one for one in EDGES if isinstance(one, IPv6Address)]) | st.builds(IPv6Address, public)
    return fours() | sixes | carrying


def networks() -> st.SearchStrategy[tuple[Network, ...]]:
    """Networks around the addresses that are asked about, and the forms themselves."""

    def around(address: Address, length: int) -> Network:
        return (
            ip_network((int(address), min(length, address.max_prefixlen)), strict=False)
            if (isinstance(address, IPv4Address))
            else IPv6Network((int(address), length), strict=False)
        )

    one = st.builds(around, addresses(), st.integers(0, 128)) | st.sampled_from(
        [*EVERYTHING, ip_network("64:ff9b::/96"), ip_network("2002::/16"), ip_network("10.0.0.0/8")]
    )
    return st.lists(one, max_size=4).map(tuple)


def reached(egress: Egress, address: Address) -> bool:
    """As an enforcer reads the policy: in a block, and in none of its exceptions."""
    return any(
        sent(address) in ip_network(peer["ipBlock"]["cidr"])
        and not any(sent(address) in ip_network(one) for one in peer["ipBlock"].get("except", ()))
        for rule in egress_rules(egress)
        for peer in rule["to"]
    )


def sent(address: Address) -> Address:
    """Where packets to an address go: a mapped one's leave as IPv4."""
    return address if isinstance(address, IPv4Address) else address.ipv4_mapped or address


def allowed(egress: Egress, address: Address) -> bool:
    """Whether an address is reached, as the docs say it."""
    if special.never(address) or special.within(address, egress.blocked):
        return False
    named = special.within(address, egress.networks)
    inside = _inside(address)
    if inside is not None:
        # No such form is public by itself: somebody has named it, and what is inside counts too.
        return named and (
            not special.never(inside)
            and not special.within(inside, egress.blocked)
            and (special.within(inside, egress.networks) or not special.why_not_public(inside))
        )
    return named or (egress.public and not special.why_not_public(address))


def _inside(address: Address) -> IPv4Address | None:
    """The address inside of a form that a prefix tells, loopback's and the unspecified one's included."""
    if isinstance(address, IPv4Address):
        return None
    for form in FORMS.values():
        for four in (IPv4Address(int(address) & 0xFFFFFFFF), IPv4Address(int(address) >> 80 & 0xFFFFFFFF)):
            made = int(form(four))
            if made == int(address) or (made >> 80 == int(address) >> 80 and made >> 112 == 0x2002):
                return four
    return None


@given(networks(), networks(), st.booleans(), addresses())
def test_egress_reaches_what_is_named_or_public_and_never_what_is_out_of_reach(
    named: tuple[Network, ...], blocked: tuple[Network, ...], public: bool, address: Address
) -> None:
    egress = Egress(named, public, blocked)
    assert reached(egress, address) == allowed(egress, sent(address))
    assert egress.reaches(ip_network(address)) == allowed(egress, address)


@pytest.mark.parametrize("text", METADATA)
def test_no_metadata_service_is_reached_in_any_form_though_everything_is_named(text: str) -> None:
    address = ip_address(text)
    forms = [form(address) for form in FORMS.values()] if isinstance(address, IPv4Address) else []
    for one in (address, *forms):
        for egress in (Egress(EVERYTHING), Egress(EVERYTHING, public=True), Egress(public=True)):
            assert not reached(egress, one), one
    assert not reached(Egress((ip_network(address),), public=True), address)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_of_a_network_that_is_out_of_reach_is_too(form: str) -> None:
    machine = IPv4Address("192.168.7.4")
    egress = Egress((*EVERYTHING, ip_network("192.168.0.0/16")), public=True, blocked=(ip_network("192.168.7.0/24"),))
    assert not reached(egress, FORMS[form](machine))
    assert reached(egress, FORMS[form](IPv4Address("192.168.8.4")))


@given(addresses())
def test_what_counts_as_public_is_so_for_the_standard_library_too(address: Address) -> None:
    if special.why_not_public(address) is None:
        assert address.is_global


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "33.18.0.112", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses_are_public(text: str) -> None:
    assert special.why_not_public(ip_address(text)) is None
    assert reached(Egress(public=True), ip_address(text))


@given(fours(), st.sampled_from(sorted(FORMS)))
def test_the_address_inside_is_found(four: IPv4Address, form: str) -> None:
    address = FORMS[form](four)
    if not (address.is_loopback or address.is_unspecified):
        assert special.carried(address) == four


@given(st.builds(lambda four, length: IPv4Network((int(four), length), strict=False), fours(), st.integers(0, 32)))
def test_the_forms_of_a_network_are_those_of_its_addresses(network: IPv4Network) -> None:
    forms = list(special.forms(network))
    assert len(forms) == len(FORMS)
    for form in FORMS.values():
        for four in (network[0], network[-1]):
            assert special.within(form(four), forms)
        for beyond in (int(network[0]) - 1, int(network[-1]) + 1):
            if 0 <= beyond < 2**32:
                assert not special.within(form(IPv4Address(beyond)), forms)


def test_the_old_default_can_be_named() -> None:
    """``egress: list`` with everything: private networks too, but what is out of reach."""
    egress = Egress(EVERYTHING, blocked=(parse_source("10.244.0.0/16"),))
    for text, wanted in (("192.168.7.4", True), ("8.8.8.8", True), ("10.244.1.2", False), ("fd12::1", True)):
        assert reached(egress, ip_address(text)) == wanted, text
