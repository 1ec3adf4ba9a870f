"""Options of requests."""

import contextlib
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_api.http import options
from berth_api.http.errors import BadRequestError
from berth_core.firewall.model import Action

CALLER = ip_address("203.0.113.7")
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(
    ["sshkey", "vpn", "reserve", "eurl", "expire_d", "keepalive", "allow_noop", "repo", "wds", "cap"]
)


@given(st.dictionaries(names | st.text(max_size=5), json_values, max_size=5))
def test_any_object_is_understood_or_refused(body: dict[str, Any]) -> None:
    for read in (options.launch_options, options.wanted_deployments, options.wanted_access):
        with contextlib.suppress(BadRequestError):
            read(body)


def test_nothing_asked_for_means_the_defaults() -> None:
    assert options.launch_options({}) == options.LaunchOptions()
    nulls = dict.fromkeys(["sshkey", "vpn", "eurl", "expire_d", "repo"])
    assert options.launch_options(nulls) == options.LaunchOptions()


def test_what_is_asked_for_is_read() -> None:
    body = {
        "vpn": True,
        "expire_d": 60,
        "eurl": "https://example.test/x?y=1",
        "repo": {"url": "https://example.test/lab/x.git"},
    }
    read = options.launch_options(body)
    assert (read.vpn, read.expire_d, read.eurl) == (True, 60, "https://example.test/x?y=1")
    assert read.repo is not None
    assert (read.repo.url, read.repo.path) == ("https://example.test/lab/x.git", None)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("eurl", "https://"),
        ("eurl", "https://exa mple.test/"),
        ("eurl", "https://example.test/\n"),
        ("eurl", "https://[::1/"),
        ("expire_d", 2**31),
        ("expire_d", -1),
        ("repo", {"url": ""}),
        ("repo", {"url": "--upload-pack=touch /tmp/x"}),
        ("repo", {"url": "https://example.test/x", "path": ""}),
        ("repo", {"url": "https://example.test/x", "path": "../x"}),
        ("repo", {"url": "https://example.test/x", "path": "/etc/x"}),
        ("repo", {"url": "https://example.test/"}),
        ("repo", {"url": "git@example.test:x.git"}),
        ("repo", {"url": "https://ada:secret@example.test/x"}),
    ],
)
def test_values_that_cannot_be_used_are_refused(option: str, value: object) -> None:
    with pytest.raises(BadRequestError, match=f"`{option}`"):
        options.launch_options({option: value})


def test_lists_of_deployments_lose_repetitions_and_have_bounds() -> None:
    assert options.wanted_deployments({"wds": ["A", "b", "a"]}) == ("a", "b")
    for wrong in (None, [], "a", [1], ["x"] * 257):
        with pytest.raises(BadRequestError, match="`wds`"):
            options.wanted_deployments({"wds": wrong})


def test_a_scheme_is_written_as_resources_hold_it() -> None:
    assert options.launch_options({"eurl": "HTTPS://Example.test/X"}).eurl == "https://Example.test/X"


@pytest.mark.parametrize(
    ("body", "capability", "user"),
    [
        ({"cap": "CAP_INSTANTIATE"}, "CAP_INSTANTIATE", "*"),
        ({"cap": "CAP_NO_INSTANTIATE", "user": None}, "CAP_NO_INSTANTIATE", "*"),
        ({"cap": "CAP_INSTANTIATE", "user": "bob", "param": 1}, "CAP_INSTANTIATE", "bob"),
        ({"cap": "CAP_INSTANTIATE", "user": "*"}, "CAP_INSTANTIATE", "*"),
    ],
)
def test_access_rules_are_read(body: dict[str, object], capability: str, user: str) -> None:
    wanted = options.wanted_access(body)
    assert (wanted.capability, wanted.user) == (capability, user)


@pytest.mark.parametrize(
    ("body", "option"),
    [
        ({}, "cap"),
        ({"cap": None}, "cap"),
        ({"cap": ["CAP_INSTANTIATE"]}, "cap"),
        ({"cap": "cap_instantiate"}, "cap"),
        ({"cap": "CAP_INSTANTIATE", "user": 7}, "user"),
        ({"cap": "CAP_INSTANTIATE", "user": ""}, "user"),
        ({"cap": "CAP_INSTANTIATE", "user": "a\nb"}, "user"),
        ({"cap": "CAP_INSTANTIATE", "user": "x" * 254}, "user"),
    ],
)
def test_access_rules_that_mean_nothing_are_refused_by_the_options_name(body: dict[str, object], option: str) -> None:
    with pytest.raises(BadRequestError, match=f"^value for option `{option}`"):
        options.wanted_access(body)


@pytest.mark.parametrize(
    ("body", "source", "action"),
    [
        ({}, "203.0.113.7/32", Action.ACCEPT),
        ({"src": None, "action": None}, "203.0.113.7/32", Action.ACCEPT),
        ({"src": "192.0.2.9/24", "action": "DROP"}, "192.0.2.0/24", Action.DROP),
        ({"src": "::ffff:192.0.2.9"}, "192.0.2.9/32", Action.ACCEPT),
    ],
)
def test_rules_are_read(body: dict[str, object], source: str, action: Action) -> None:
    assert options.wanted_rule(body, CALLER) == options.WantedRule(source, action)
