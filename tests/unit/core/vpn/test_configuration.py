"""Configuration of OpenVPN. tests/e2e/test_vpn.py shows with a real client on nodes that it connects."""

import re
from ipaddress import IPv4Address, IPv4Network

import pytest

from berth_core.vpn import KeyPair, Protocol, Remote, Tunnel, profile, server_configuration
from berth_core.vpn.configuration import parse_network

UDP = Tunnel(Protocol.UDP, IPv4Network("10.92.0.0/22"), 1194)
TCP = Tunnel(Protocol.TCP, IPv4Network("10.92.0.0/22"), 1194)
REMOTE = Remote("198.51.100.11", 30194)


def made(tunnel: Tunnel) -> str:
    return profile(tunnel, REMOTE, authority="CA\n", pair=KeyPair("CERT\n", "KEY\n"), static_key="STATIC\n")


@pytest.mark.parametrize("tunnel", [UDP, TCP])
def test_both_sides_insist_on_the_same_ciphers_and_on_each_others_role(tunnel: Tunnel) -> None:
    server, client = server_configuration(tunnel).splitlines(), made(tunnel).splitlines()
    for lines in (server, client):
        assert "tls-version-min 1.2" in lines
        assert "data-ciphers AES-256-GCM" in lines
    assert "remote-cert-tls client" in server
    assert "remote-cert-tls server" in client
    assert "verify-client-cert require" in server
    assert any(line.startswith("tls-crypt ") for line in server)


def test_the_server_checks_revocation_lets_clients_see_each_other_and_runs_no_scripts() -> None:
    lines = server_configuration(UDP).splitlines()
    assert "crl-verify /run/berth-vpn/crl.pem" in lines
    assert "client-to-client" in lines
    assert "script-security 1" in lines
    assert "server 10.92.0.0 255.255.252.0" in lines
    assert "duplicate-cn" not in lines


def test_the_protocol_is_the_same_on_both_sides() -> None:
    assert "proto udp" in server_configuration(UDP).splitlines()
    assert "proto udp4" in made(UDP).splitlines()
    assert "explicit-exit-notify 1" in made(UDP).splitlines()
    assert "proto tcp-server" in server_configuration(TCP).splitlines()
    assert "proto tcp4-client" in made(TCP).splitlines()
    assert "explicit-exit-notify 1" not in made(TCP)


def test_a_profile_needs_no_other_file() -> None:
    text = made(UDP)
    assert "remote 198.51.100.11 30194" in text.splitlines()
    assert re.findall(r"<(ca|cert|key|tls-crypt)>\n(\w+)\n</\1>", text) == [
        ("ca", "CA"),
        ("cert", "CERT"),
        ("key", "KEY"),
        ("tls-crypt", "STATIC"),
    ]


def test_the_workspace_has_the_first_address() -> None:
    assert UDP.workspace == IPv4Address("10.92.0.1")
    assert UDP.places == 1021


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.0.0.0/8", "from /16 to /28"),
        ("10.0.0.0/29", "from /16 to /28"),
        ("10.0.0.1/24", "host bits"),
        ("fd00::/64", "4 octets"),
        ("nonsense", "4 octets"),
    ],
)
def test_networks_that_do_not_serve_are_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_network(text)
