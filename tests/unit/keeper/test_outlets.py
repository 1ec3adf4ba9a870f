"""A Secret of an outlet that is switched by SNMP."""

import json
import re
from ipaddress import ip_network
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from berth_core.machines.reach import Networks
from berth_dev.paths import REPOSITORY
from berth_keeper import credentials
from berth_keeper.outlets import SnmpOutlet
from berth_keeper.secret import UnusableError

from .samples import NETWORKS, encoded

OID = "1.3.6.1.4.1.318.1.1.4.4.2.1.3.3"
V3 = {"address": "198.18.0.1", "user": "berth", "authKey": "hunter2-auth", "privKey": "hunter2-priv"}
V2 = {"address": "198.18.0.1", "community": "hunter2"}


def texts(session: dict[str, Any] | None = None, **more: str) -> dict[str, str]:
    off = json.dumps({"oid": OID, "value": 2})
    return {"off": off, "deployments": "lab/one", "snmp": json.dumps(V3 if session is None else session)} | more


def read(data: dict[str, str]) -> SnmpOutlet:
    found = credentials.read(encoded(data), "lab", "one", NETWORKS)
    assert isinstance(found, SnmpOutlet)
    return found


def setting(**fields: Any) -> str:
    return json.dumps({"oid": OID, "value": 2} | fields)


def test_a_whole_secret_is_read() -> None:
    found = read(texts(state=json.dumps({"oid": OID, "on": 1, "off": 2})))
    assert (str(found.address), found.session.port, found.session.auth, found.session.priv) == (
        "198.18.0.1",
        161,
        "SHA256",
        "AES128",
    )
    assert found.requests["off"].value == 2
    assert found.state is not None


def test_a_community_is_used_where_the_secret_says_plain() -> None:
    assert read(texts(V2, plain="true")).session.community == "hunter2"


def test_the_secret_of_the_page_is_read() -> None:
    page = (REPOSITORY / "docs/how-to/lend/power.md").read_text(encoding="utf-8")
    (block,) = [one for one in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "snmp: " in one]
    data = encoded(yaml.safe_load(block)["stringData"])
    found = credentials.read(data, "berth-workspaces", "arm-7", Networks((ip_network("192.0.2.0/24"),), ()))
    assert isinstance(found, SnmpOutlet)
    assert set(found.requests) == {"on", "off", "cycle"}


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (texts(V2), "SecretUnusable", "use SNMPv3, or set the key plain"),
        (texts({"address": "198.18.0.1"}), "SecretUnusable", "needs user, authKey and privKey"),
        (texts({**V3, "privKey": None}), "SecretUnusable", "needs user, authKey and privKey"),
        (texts({**V3, "authKey": "short"}), "SecretUnusable", "key snmp.authKey"),
        (texts({**V3, "auth": "MD5"}), "SecretUnusable", "key snmp.auth "),
        (texts({**V3, "priv": "DES"}), "SecretUnusable", "key snmp.priv "),
        (texts({**V3, "community": "c"}), "SecretUnusable", "either"),
        (texts({**V3, "port": 0}), "SecretUnusable", "key snmp.port"),
        (texts({**V3, "surprise": 1}), "SecretUnusable", "key snmp cannot"),
        (texts({**V3, "address": "pdu.lab"}), "SecretUnusable", "key snmp.address is no address"),
        (texts({**V3, "address": "10.0.0.1"}), "RelayForbidden", "outside of the networks of machines"),
        (texts({**V3, "address": "198.18.7.1"}), "RelayForbidden", "blockedCidrs"),
        (texts(off=setting(oid="PowerNet-MIB::off")), "SecretUnusable", "key off.oid"),
        (texts(off=setting(oid="1.3.4294967296")), "SecretUnusable", "key off.oid"),
        (texts(off=setting(oid="3.1")), "SecretUnusable", "key off.oid"),
        (texts(off=setting(oid="1.40.1")), "SecretUnusable", "key off.oid"),
        (texts(off=setting(value=2**31)), "SecretUnusable", "key off.value"),
        (texts(off=setting(value="2")), "SecretUnusable", "key off.value"),
        (texts(off=json.dumps({"method": "GET", "url": "http://198.18.0.1/"})), "SecretUnusable", "key off.oid"),
        (texts(state=json.dumps({"oid": OID, "on": 1, "off": 1})), "SecretUnusable", "the same number"),
        (texts(deployments="lab/other"), "SecretRefused", "adds lab/one"),
    ],
)
def test_what_cannot_be_used_says_what_to_do(data: dict[str, str], reason: str, words: str) -> None:
    with pytest.raises(UnusableError) as error:
        read(data)
    assert (error.value.reason, words in error.value.message) == (reason, True), error.value.message
    assert "hunter2" not in error.value.message


@given(
    st.sampled_from(["address", "user", "auth", "authKey", "priv", "privKey", "community"]),
    st.one_of(st.none(), st.integers(), st.text(max_size=300), st.lists(st.integers(), max_size=2)),
)
def test_whatever_the_session_it_is_read_or_refused_with_a_sentence(key: str, value: object) -> None:
    try:
        found = read(texts({**V3, key: value}))
    except UnusableError as error:
        assert error.message  # noqa: PT017
        return
    assert str(found.address) == "198.18.0.1"
