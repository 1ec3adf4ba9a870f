"""Bodies of requests."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from berth_api.access_rules.schemas import AccessRuleRequest
from berth_api.builds.schemas import BuildChange, BuildRequest, ProjectRequest
from berth_api.firewall.schemas import FirewallRequest
from berth_api.http.bodies import bind
from berth_api.http.errors import BadRequestError
from berth_api.keepalive.schemas import ExtendRequest
from berth_api.launch.schemas import LaunchAnyRequest
from berth_api.machines.schemas import ChangeRequest, RegistrationRequest
from berth_api.reservations.wish import LaunchRequest

PROJECT = {"repo_url": "https://git.example.test/lab/arm.git"}
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(
    [
        *("sshkey", "vpn", "reserve", "eurl", "expire_d", "keepalive", "allow_noop", "repo", "wds", "cap"),
        *("type", "machine", "health", "maintenance", "desc", "region", "type_version"),
    ]
)
MODELS = (LaunchRequest, LaunchAnyRequest, AccessRuleRequest, FirewallRequest, ExtendRequest)


@given(st.dictionaries(names | st.text(max_size=5), json_values, max_size=5))
def test_any_object_is_understood_or_refused(body: dict[str, Any]) -> None:
    for model in (*MODELS, RegistrationRequest, ChangeRequest):
        with contextlib.suppress(BadRequestError):
            bind(model, body)


def test_nothing_asked_for_means_the_defaults() -> None:
    assert bind(LaunchRequest, {}) == LaunchRequest()
    nulls = dict.fromkeys(["sshkey", "vpn", "eurl", "expire_d", "repo"])
    assert bind(LaunchRequest, nulls) == LaunchRequest()


def test_what_is_asked_for_is_read() -> None:
    body = {
        "vpn": True,
        "expire_d": 60,
        "eurl": "https://example.test/x?y=1",
        "repo": {"url": "https://example.test/lab/x.git"},
    }
    read = bind(LaunchRequest, body)
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
        bind(LaunchRequest, {option: value})


def test_lists_of_deployments_lose_repetitions_and_have_bounds() -> None:
    assert bind(LaunchAnyRequest, {"wds": ["A", "b", "a"]}).wds == ["a", "b"]
    for wrong in (None, [], "a", [1], ["x"] * 257):
        with pytest.raises(BadRequestError, match="`wds`"):
            bind(LaunchAnyRequest, {"wds": wrong})


def test_a_scheme_is_written_as_resources_hold_it() -> None:
    assert bind(LaunchRequest, {"eurl": "HTTPS://Example.test/X"}).eurl == "https://Example.test/X"


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
    wanted = bind(AccessRuleRequest, body)
    assert (wanted.cap, wanted.user) == (capability, user)


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
        bind(AccessRuleRequest, body)


@pytest.mark.parametrize(
    ("body", "source", "action"),
    [
        ({}, None, "ACCEPT"),
        ({"src": None, "action": None}, None, "ACCEPT"),
        ({"src": "192.0.2.9/24", "action": "DROP"}, "192.0.2.0/24", "DROP"),
        ({"src": "::ffff:192.0.2.9"}, "192.0.2.9/32", "ACCEPT"),
    ],
)
def test_rules_are_read(body: dict[str, object], source: str | None, action: str) -> None:
    wanted = bind(FirewallRequest, body)
    assert (wanted.src, wanted.action) == (source, action)


@pytest.mark.parametrize(
    ("model", "body", "text"),
    [
        (LaunchRequest, {"vpn": 1}, "value for option `vpn` has wrong type"),
        (LaunchRequest, {"sshkey": 1}, "value for option `sshkey` has wrong type"),
        (LaunchRequest, {"expire_d": True}, "value for option `expire_d` has wrong type"),
        (LaunchRequest, {"expire_d": 0.0}, "value for option `expire_d` must be a positive number of seconds"),
        (LaunchRequest, {"eurl": "ftp://x"}, "value for option `eurl` must be an http or https URL"),
        (LaunchRequest, {"repo": 1}, "value for option `repo` has wrong type"),
        (LaunchRequest, {"repo": {}}, "value for option `repo` has wrong type"),
        (LaunchRequest, {"repo": {"url": None}}, "value for option `repo` has wrong type"),
        (LaunchRequest, {"repo": {"url": "https://x.test/x", "path": 1}}, "value for option `repo` has wrong type"),
        (LaunchAnyRequest, {}, "option `wds` is required: a list of deployment ids"),
        (LaunchAnyRequest, {"wds": None}, "option `wds` is required: a list of deployment ids"),
        (LaunchAnyRequest, {"wds": {}}, "value for option `wds` has wrong type"),
        (LaunchAnyRequest, {"wds": ["a", 1]}, "value for option `wds` has wrong type"),
        (LaunchAnyRequest, {"wds": []}, "value for option `wds` must have 1 to 256 ids"),
        (ExtendRequest, {}, "option `expire_d` is required: seconds from now to the end"),
        (AccessRuleRequest, {}, "value for option `cap` must be CAP_INSTANTIATE or CAP_NO_INSTANTIATE"),
        (FirewallRequest, {"src": 7}, "value for option `src` must be an IPv4 address or subnet in CIDR notation"),
        (FirewallRequest, {"src": ""}, "value for option `src` must be an IPv4 address or subnet in CIDR notation"),
        (FirewallRequest, {"action": 1}, "value for option `action` not recognized"),
        (ProjectRequest, {}, "option `repo_url` is required: URL of a git repository"),
        (ProjectRequest, PROJECT | {"repo_type": "git"}, "option `ns` is required: name of the project"),
        (ProjectRequest, PROJECT | {"ns": "a"}, "value for option `repo_type` must be `git`"),
        (BuildRequest, {}, "option `branch` or `commit` is required"),
        (BuildChange, {}, "value for option `do` must be `restart` or `cancel`"),
        (BuildChange, {"do": 1}, "value for option `do` has wrong type"),
        (ProjectRequest, PROJECT | {"ns": "a", "repo_type": 1}, "value for option `repo_type` has wrong type"),
        (AccessRuleRequest, {"cap": 1}, "value for option `cap` must be CAP_INSTANTIATE or CAP_NO_INSTANTIATE"),
        (BuildChange, {"do": "stop"}, "value for option `do` must be `restart` or `cancel`"),
    ],
)
def test_refusals_have_the_texts_of_the_contract(model: type[BaseModel], body: dict[str, object], text: str) -> None:
    with pytest.raises(BadRequestError) as refusal:
        bind(model, body)
    assert refusal.value.message == text


def test_of_a_key_the_refusal_says_what_is_wrong_with_it() -> None:
    with pytest.raises(BadRequestError, match=r"^value for option `sshkey` is no public key in OpenSSH's form: ."):
        bind(LaunchRequest, {"sshkey": "x"})


def test_of_a_repository_the_refusal_names_the_wrong_part() -> None:
    with pytest.raises(BadRequestError, match=r"^value for option `repo`: its `url` takes ."):
        bind(LaunchRequest, {"repo": {"url": "x"}})


MACHINE = {"network": {"addresses": ["192.0.2.40", "2001:DB8::7"], "ports": ["22", "7400-7500/UDP"]}}


def test_a_machine_is_written_as_the_cluster_has_it() -> None:
    machine = bind(RegistrationRequest, {"type": "arm", "machine": MACHINE}).machine.spec()
    assert machine.network is not None
    assert machine.network.wire() == {
        "addresses": ["192.0.2.40/32", "2001:db8::7/128"],
        "ports": [{"protocol": "TCP", "port": 22}, {"protocol": "UDP", "port": 7400, "endPort": 7500}],
    }
    assert [port.text() for port in machine.network.ports] == ["22/TCP", "7400-7500/UDP"]


def test_a_change_names_what_is_given_and_null_takes_away_what_can_go() -> None:
    assert bind(ChangeRequest, {}).changes() == {}
    body = {"desc": "", "region": None, "machine": None, "health": None, "maintenance": None}
    assert bind(ChangeRequest, body).changes() == {"description": "", "health": None, "maintenance": None}
    changes = bind(ChangeRequest, {"health": {"tcp": 22.0}, "maintenance": {"reason": "x"}}).changes()
    assert changes["health"] | {"tcp": 22, "http": None, "host": None} == changes["health"]
    assert changes["maintenance"] == {"reason": "x", "until": None}


def test_a_wrong_part_of_a_machine_is_named_by_its_path() -> None:
    with pytest.raises(BadRequestError, match=r"value for option `machine\.network\.ports` must be at most 32"):
        bind(RegistrationRequest, {"type": "arm", "machine": {"network": {"addresses": ["192.0.2.1"], "ports": ["x"]}}})
    with pytest.raises(BadRequestError, match=r"value for option `health\.every` must be 1 to 3600 seconds"):
        bind(ChangeRequest, {"health": {"tcp": 1, "every": 3601}})
