"""Configuration by environment variables, and versions by Accept."""

from ipaddress import IPv4Address

import pytest

from berth_api.config import Listen, from_environment
from berth_api.http.negotiation import version_refused
from berth_core.process.settings import SettingError


def test_the_defaults_are_those_of_the_chart() -> None:
    config = from_environment({})
    assert config.workspace_namespaces == ("berth-workspaces",)
    assert config.listen == Listen(str(IPv4Address(0)), 8080)
    assert config.metrics_listen == Listen(str(IPv4Address(0)), 9090)
    assert config.public_url is None
    assert config.kubeconfig is None
    assert config.body_seconds == 30


def test_values_are_read() -> None:
    config = from_environment(
        {
            "BERTH_WORKSPACE_NAMESPACES": "a, b,",
            "BERTH_LISTEN": "[::1]:81",
            "BERTH_PUBLIC_URL": "https://x.test/",
            "BERTH_TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8",
            "BERTH_ALLOWED_ORIGINS": "https://lab.test",
        }
    )
    assert config.workspace_namespaces == ("a", "b")
    assert config.listen == Listen("::1", 81)
    assert config.public_url == "https://x.test"
    assert [str(n) for n in config.trusted_proxies] == ["10.0.0.0/8", "fd00::/8"]
    assert config.allowed_origins == {"https://lab.test"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BERTH_WORKSPACE_NAMESPACES", " , "),
        ("BERTH_LISTEN", "8080"),
        ("BERTH_METRICS_LISTEN", ":x"),
        ("BERTH_LISTEN", ":70000"),
        ("BERTH_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("BERTH_TOKEN_LONGEST_LIFE", "0"),
        ("BERTH_TOKEN_LONGEST_LIFE", "a year"),
        ("BERTH_RATE_LIMIT_PER_TOKEN", "-1"),
        ("BERTH_RATE_LIMIT_PER_PEER", "1e3"),
        ("BERTH_RATE_LIMIT_WINDOW", "99999999999"),
        ("BERTH_RATE_LIMIT_SUPERUSERS_EXEMPT", "yes"),
        ("BERTH_OIDC_ISSUER", "https://id.test"),
        ("BERTH_OIDC_JWKS_URL", "https://id.test/jwks"),
    ],
)
def test_a_wrong_value_is_refused_with_the_variables_name(variable: str, value: str) -> None:
    with pytest.raises(SettingError, match=variable):
        from_environment({variable: value})


def test_limits_are_the_contracts_unless_given() -> None:
    limit = from_environment({}).rate_limit
    assert (limit.per_token, limit.per_peer, limit.window, limit.refusal_status) == (3600, 60, 3600, 429)
    assert not limit.superusers_exempt
    assert limit.redis_url is None
    given = from_environment(
        {
            "BERTH_RATE_LIMIT_REFUSAL_STATUS": "403",
            "BERTH_RATE_LIMIT_SUPERUSERS_EXEMPT": "true",
            "BERTH_RATE_LIMIT_REDIS_URL": "redis://:hidden@store.test/0",
        }
    )
    assert given.rate_limit.refusal_status == 403
    assert given.rate_limit.superusers_exempt
    assert "hidden" not in repr(given)


def test_a_provider_needs_an_issuer_and_keys_of_its_own() -> None:
    provider = {"BERTH_OIDC_ISSUER": "https://id.test", "BERTH_OIDC_JWKS_URL": "https://id.test/jwks"}
    assert from_environment({}).provider is None
    found = from_environment(provider).provider
    assert found is not None
    assert (found.issuer, found.user_prefix, found.audience) == ("https://id.test", "oidc:", "berth")
    for change in (
        {"BERTH_OIDC_ISSUER": "berth"},
        {"BERTH_OIDC_USER_PREFIX": ""},
        {"BERTH_OIDC_JWKS_URL": "file:///etc/passwd"},
    ):
        with pytest.raises(SettingError, match="BERTH_OIDC"):
            from_environment(provider | change)


@pytest.mark.parametrize(
    ("accept", "refused"),
    [
        ([], False),
        (["text/html"], False),
        (["application/vnd.rerobots.v1+json"], False),
        (["application/vnd.rerobots.v9+json"], True),
        (["application/vnd.rerobots.v9+json", "application/vnd.rerobots.v1+json"], False),
        (["application/vnd.rerobots.v01+json"], True),
        (["application/vnd.rerobots.v9+json, */*;q=0.1"], False),
    ],
)
def test_only_an_unknown_version_alone_is_refused(accept: list[str], refused: bool) -> None:
    assert version_refused(accept) is refused
