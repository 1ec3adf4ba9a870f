"""The agent's parsing of requests and of OpenVPN's answers; sessions that are cut are in tests/envtest/agent."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_agent import management, vpn

CRL = "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n"
GOOD: dict[str, Any] = {"epoch": 3, "crl": CRL, "revoked": ["0b5a1c52-6a3e-4f65-9e0a-000000000001"]}
STATUS = """TITLE,OpenVPN 2.6.14
HEADER,CLIENT_LIST,Common Name,Real Address,Virtual Address,Virtual IPv6 Address,Bytes Received,Client ID,Peer ID
CLIENT_LIST,one,198.51.100.2:55469,10.92.0.2,,2481,0,0
CLIENT_LIST,UNDEF,198.51.100.3:1,,,0,7,1
HEADER,ROUTING_TABLE,Virtual Address,Common Name
ROUTING_TABLE,10.92.0.2,one
END"""


def test_a_request_is_read() -> None:
    wanted = vpn.parse(json.dumps(GOOD).encode())
    assert wanted == (3, CRL, tuple(GOOD["revoked"]))


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": "3"},
        {"epoch": True},
        {"crl": ""},
        {"crl": CRL + "-----BEGIN CERTIFICATE-----\n"},
        {"crl": CRL.replace("\n", "\r\n")},
        {"revoked": "all"},
        {"revoked": ["one\nkill two"]},
        {"revoked": [7]},
        {"revoked": GOOD["revoked"] * 1025},
    ],
)
def test_what_is_malformed_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        vpn.parse(json.dumps(GOOD | change).encode())


@given(st.binary(max_size=100))
def test_anything_else_is_refused_as_well(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|must"):
        vpn.parse(body)


def test_sessions_are_found_by_the_names_of_columns() -> None:
    found = management.sessions(STATUS.splitlines())
    assert found == [("one", "198.51.100.2:55469", "0"), (management.UNNAMED, "198.51.100.3:1", "7")]


@pytest.mark.parametrize(
    ("lines", "serves"),
    [
        (["1795637524,CONNECTED,SUCCESS,10.92.0.1,,,,", "END"], True),
        (["1795637524,ASSIGN_IP,,10.92.0.1,,,,", "END"], False),
        (["1795637524,EXITING,SIGTERM,,,,,", "END"], False),
        ([], False),
    ],
)
def test_it_serves_once_it_is_connected(lines: list[str], serves: bool) -> None:
    assert management.is_connected(lines) is serves
