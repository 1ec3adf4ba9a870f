"""A relay's Secret: its content, and that nothing of it is ever shown."""

import json
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from berth_core.machines.reach import why_refused
from berth_keeper import credentials
from berth_keeper.credentials import need
from berth_keeper.secret import KEYS, UnusableError
from berth_keeper.templates import HttpRelay

from .samples import NETWORKS, encoded, texts

HOSTS = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda a: f"[{a}]"),
    st.sampled_from(
        ["localhost", "pdu", "127.1", "0x7f.1", "2130706433", "198.18.0.1.", "198.018.0.1", "\uff1198.18.0.1"]
    ),
    st.text("0123456789abcdefx.:[]%@-_", min_size=1, max_size=24),
)


def read(data: dict[str, str]) -> HttpRelay:
    found = credentials.read(encoded(data), "lab", "one", NETWORKS)
    assert isinstance(found, HttpRelay)
    return found


def refused(data: dict[str, str]) -> UnusableError:
    with pytest.raises(UnusableError) as error:
        read(data)
    return error.value


def order(**fields: Any) -> str:
    return json.dumps({"method": "POST", "url": "http://198.18.0.1/off"} | fields)


def test_a_whole_secret_is_read() -> None:
    state = order(method="GET", on="ON", off="OFF")
    found = read(texts(on=order(), cycle=order(body="x", headers={"X-Key": "k"}), state=state))
    assert set(found.requests) == {"on", "off", "cycle"}
    assert found.targets["off"].address == ip_address("198.18.0.1")
    assert (found.state is not None, found.tls) == (True, None)
    assert found.requests["cycle"].headers == {"X-Key": "k"}


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"deployments": "lab/other"}, "SecretRefused", "adds lab/one to its key deployments"),
        ({"deployments": ""}, "SecretRefused", "adds lab/one"),
        ({"deployments": "lab/one-more elsewhere/one"}, "SecretRefused", "adds lab/one"),
        ({"off": "{}"}, "SecretUnusable", "key off.method"),
        ({"off": "off"}, "SecretUnusable", "key off cannot be used"),
        ({"off": order(method="TRACE")}, "SecretUnusable", "key off.method"),
        ({"off": order(surprise=1)}, "SecretUnusable", "key off cannot be used: extra_forbidden"),
        ({"off": order(headers={"Host": "x"})}, "SecretUnusable", "off.headers"),
        ({"off": order(headers={"A b": "x"})}, "SecretUnusable", "off.headers"),
        ({"off": order(headers={"A": "x\r\nB: y"})}, "SecretUnusable", "key off.headers"),
        ({"off": order(url="http://u:p@198.18.0.1/")}, "SecretUnusable", "one way only"),
        ({"off": order(url="ftp://198.18.0.1/")}, "SecretUnusable", "one way only"),
        ({"off": order(url="http://198.18.0.1/#a")}, "SecretUnusable", "one way only"),
        ({"off": order(url="http://198.18.0.1:70000/")}, "SecretUnusable", "one way only"),
        ({"off": order(url="http://[]@198.18.0.1/")}, "SecretUnusable", "one way only"),
        ({"off": order(url="http://198.18.0.1\\@10.0.0.1/")}, "SecretUnusable", "one way only"),
        ({"off": order(url="http://pdu.lab/")}, "SecretUnusable", "add its address"),
        ({"off": order(url="http://10.0.0.1/")}, "RelayForbidden", "outside of the networks of machines"),
        ({"off": order(url="http://198.18.7.1/")}, "RelayForbidden", "blockedCidrs"),
        ({"off": order(url="https://198.18.0.1/")}, "SecretUnusable", "no key ca.crt"),
        ({"off": order(url="https://198.18.0.1/"), "ca.crt": "x"}, "SecretUnusable", "no certificate in PEM"),
        ({"plain": "false"}, "SecretUnusable", "set the key plain to true"),
        ({"plain": "yes"}, "SecretUnusable", "neither true nor false"),
        ({"address": "pdu"}, "SecretUnusable", "no address"),
        ({"address": "198.18.0.2"}, "SecretUnusable", "another address than the key address"),
    ],
)
def test_what_cannot_be_used_says_what_to_do(change: dict[str, str], reason: str, words: str) -> None:
    error = refused(texts() | change)
    assert (error.reason, words in error.message) == (reason, True), error.message


def test_a_secret_without_a_deed_or_with_bytes_is_no_use() -> None:
    data = texts()
    del data["off"]
    assert "none of the keys on, off and cycle" in refused(data).message
    with pytest.raises(UnusableError, match="no text in UTF-8"):
        credentials.read(encoded(texts()) | {"off": "/w=="}, "lab", "one", NETWORKS)
    with pytest.raises(UnusableError, match="no key cycle"):
        need(read(texts()), "cycle")


def test_a_name_goes_to_the_address_that_the_secret_gives() -> None:
    found = read(texts("http://pdu.lab/off", address="198.18.0.9"))
    assert (found.targets["off"].url.host, str(found.targets["off"].address)) == ("pdu.lab", "198.18.0.9")
    assert refused(texts("http://pdu.lab/off", address="10.0.0.9")).reason == "RelayForbidden"


@given(HOSTS, st.sampled_from(["", ":80", ":8080"]), st.sampled_from(["/", "/off?a=b", "", "/@10.0.0.1"]))
def test_whatever_the_url_only_an_address_of_the_machines_networks_is_connected_to(
    host: str, port: str, path: str
) -> None:
    try:
        target = read(texts(f"http://{host}{port}{path}")).targets["off"]
    except UnusableError:
        return
    assert not why_refused(target.address, NETWORKS)
    shown = URL(f"http://{host}{port}{path}", encoded=True).host
    assert shown is not None
    assert ip_address(shown) == target.address, "the host that is asked for is the address that was checked"


@given(st.dictionaries(st.sampled_from(sorted(KEYS)), st.text(max_size=60)), st.text("hunter2-", min_size=6))
def test_no_message_shows_anything_of_the_content(data: dict[str, str], secret: str) -> None:
    spoilt = {key: value + secret for key, value in data.items()}
    for one in (
        spoilt,
        texts() | spoilt,
        texts() | {"off": order(url=secret)},
        texts() | {"off": order(body=[secret])},
    ):
        assert secret not in complaint(one)


def complaint(data: dict[str, str]) -> str:
    """Complaint about a Secret; empty where it can be used."""
    try:
        read(data)
    except UnusableError as error:
        return error.message
    return ""
