"""Reading URLs, settings and keys."""

from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core import names
from berth_core.keys import webhooks
from berth_core.process.settings import networks
from berth_notifier import targets
from berth_notifier.addresses import Policy
from berth_notifier.config import Config
from berth_notifier.signing import Keys

from .receiver import PEM


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("https://example.org", "https://example.org:443/"),
        ("HTTP://Example.ORG/A", "http://example.org:80/A"),
        ("https://example.org?x=1#part", "https://example.org:443/?x=1"),
        ("https://example.org:8443/a/../b?c=%2F@:", "https://example.org:8443/a/../b?c=%2F@:"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example:443/"),
        ("https://under_score.example/", "https://under_score.example:443/"),
        ("http://8.8.8.8:1024/", "http://8.8.8.8:1024/"),
        ("http://[2600:0::1]/", "http://[2600::1]:80/"),
        ("http://1and1.example/", "http://1and1.example:80/"),
    ],
)
def test_plain_urls_are_read(url: str, read: str) -> None:
    assert targets.parse(url).url == read


@given(st.text(max_size=60))
def test_any_text_is_read_in_one_way_or_refused(text: str) -> None:
    for url in (text, f"http://{text}", f"https://example.org{text}"):
        try:
            target = targets.parse(url)
        except targets.TargetError:
            continue
        assert targets.parse(target.url) == target


@given(st.ip_addresses(v=4))
def test_every_ipv4_address_that_is_allowed_is_public(address: object) -> None:
    found = ip_address(str(address))
    if Policy().refusal(found) is None:
        assert found.is_global
        assert not found.is_multicast


@given(st.ip_addresses(v=6))
def test_every_ipv6_address_that_is_allowed_is_public_and_carries_no_other(address: object) -> None:
    found = ip_address(str(address))
    if Policy().refusal(found) is None:
        assert found.is_global
        assert found in networks("2000::/3")[0]


def test_public_addresses_are_allowed() -> None:
    for text in ("8.8.8.8", "1.1.1.1", "100.128.0.1", "172.32.0.1", "2600::1", "2a00:1450::1"):
        assert Policy().refusal(ip_address(text)) is None


def test_the_allow_list_wins_over_what_is_the_clusters() -> None:
    policy = Policy(allowed=networks("10.1.0.0/16"), blocked=networks("10.0.0.0/8"))
    assert policy.refusal(ip_address("10.1.2.3")) is None
    assert policy.refusal(ip_address("10.2.0.1")) == "one of the cluster's own"


def test_no_allow_list_opens_the_way_to_machines_and_metadata_services() -> None:
    everything = networks("0.0.0.0/0,::/0")
    policy = Policy(allowed=everything, machines=networks("192.168.7.0/24"))
    for text in ("192.168.7.4", "::ffff:192.168.7.4", "64:ff9b::c0a8:704", "2002:c0a8:704::1"):
        assert "in a network of machines" in (policy.refusal(ip_address(text)) or ""), text
    for text in ("169.254.169.254", "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fe80::1", "2002:a9fe:a9fe::"):
        assert policy.refusal(ip_address(text)), text
    assert policy.refusal(ip_address("192.168.8.4")) is None


def test_settings_name_what_is_wrong() -> None:
    base = {"BERTH_WORKSPACE_NAMESPACES": "a, b"}
    assert Config.from_environment(base).workspace_namespaces == ("a", "b")
    for variable, value in (
        ("BERTH_WORKSPACE_NAMESPACES", " "),
        ("BERTH_WEBHOOK_ALLOWED_CIDRS", "10.0.0.1/8"),
        ("BERTH_BLOCKED_CIDRS", "x"),
        ("BERTH_MACHINE_CIDRS", "x"),
        ("BERTH_WEBHOOK_RETENTION_DAYS", "0"),
        ("BERTH_LISTEN", "http"),
    ):
        with pytest.raises(ValueError, match=variable):
            Config.from_environment(base | {variable: value})


def test_keys_are_read_from_the_mounted_secret_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / names.WEBHOOK_PRIVATE_KEY).write_bytes(PEM)
    (tmp_path / names.WEBHOOK_MASTER).write_bytes(b"very secret")
    keys = Keys.read(tmp_path)
    assert (keys.pem, keys.master) == (PEM, b"very secret")
    assert "secret" not in repr(keys)
    (tmp_path / names.WEBHOOK_MASTER).write_bytes(b"")
    with pytest.raises(ValueError, match="empty"):
        Keys.read(tmp_path)


def test_machines_in_the_form_of_ipv6_are_the_same_machines() -> None:
    machines = networks("::ffff:192.168.7.0/120")
    for text in ("192.168.7.4", "::ffff:192.168.7.4"):
        refusal = Policy(allowed=networks("0.0.0.0/0,::/0"), machines=machines).refusal(ip_address(text))
        assert "in a network of machines" in (refusal or ""), text


def test_users_have_different_secrets() -> None:
    secrets = {webhooks.user_secret(b"m", user) for user in ("alice", "bob", "")} | {webhooks.user_secret(b"n", "bob")}
    assert len(secrets) == 4
    assert all(secret.startswith("whsec_") for secret in secrets)
