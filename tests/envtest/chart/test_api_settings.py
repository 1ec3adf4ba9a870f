"""Values for the API process reach it: environment, files, and the egress that it needs."""

import functools
from pathlib import Path
from typing import Any

import pytest
from amount import but_first

from .conftest import Helm

REDIS = "redis://cache.lab.svc:7000/0"
LOGIN = "tokens.oidc.issuer=https://login.example.org,tokens.oidc.jwksURL=https://login.example.org/keys"


@functools.cache
def rendered(helm: Helm, values: tuple[str, ...]) -> list[dict[str, Any]]:
    return helm.render(*(f"--set={value}" for value in values))


def found(helm: Helm, kind: str, name: str, *values: str) -> dict[str, Any]:
    (obj,) = [o for o in rendered(helm, values) if o["kind"] == kind and o["metadata"]["name"] == name]
    return obj


def pod(helm: Helm, *values: str) -> dict[str, Any]:
    spec: dict[str, Any] = found(helm, "Deployment", "berth-api", *values)["spec"]["template"]["spec"]
    return spec


def environment(helm: Helm, *values: str) -> dict[str, Any]:
    (container,) = pod(helm, *values)["containers"]
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


def ways_out(helm: Helm, *values: str) -> list[tuple[list[tuple[str, int]], list[Any]]]:
    """Ports and peers of each rule of egress that is the API's own."""
    spec = found(helm, "NetworkPolicy", "berth-api", *values)["spec"]
    assert ("Egress" in spec["policyTypes"]) == ("egress" in spec)
    return [
        ([(port["protocol"], port["port"]) for port in rule["ports"]], rule.get("to", []))
        for rule in spec.get("egress", [])
    ]


DNS: tuple[list[tuple[str, int]], list[Any]] = ([("UDP", 53), ("TCP", 53)], [])


def test_limits_and_the_longest_life_of_a_token_reach_the_process(helm: Helm) -> None:
    told = environment(helm)
    assert {
        name.removeprefix("BERTH_"): value for name, value in told.items() if "LIMIT" in name or "LIFE" in name
    } == {
        "RATE_LIMIT_PER_TOKEN": "3600",
        "RATE_LIMIT_PER_PEER": "60",
        "RATE_LIMIT_WINDOW": "3600",
        "RATE_LIMIT_REFUSAL_STATUS": "429",
        "RATE_LIMIT_SUPERUSERS_EXEMPT": "false",
        "TOKEN_LONGEST_LIFE": "31622400",
    }
    changed = environment(helm, "rateLimit.perToken=2000000000", "tokens.longestLifeDays=3660")
    assert changed["BERTH_RATE_LIMIT_PER_TOKEN"] == "2000000000"
    assert changed["BERTH_TOKEN_LONGEST_LIFE"] == "316224000"


def test_large_numbers_in_a_file_are_written_out(helm: Helm, tmp_path: Path) -> None:
    """YAML's numbers come to templates as floating point."""
    values = tmp_path / "values.yaml"
    values.write_text("rateLimit: {perToken: 100000000, perPeer: 2147483647}\n")
    (deployment,) = [
        o for o in helm.render("-f", str(values)) if o["kind"] == "Deployment" and o["metadata"]["name"] == "berth-api"
    ]
    told = {one["name"]: one.get("value") for one in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert (told["BERTH_RATE_LIMIT_PER_TOKEN"], told["BERTH_RATE_LIMIT_PER_PEER"]) == ("100000000", "2147483647")


def test_without_redis_and_provider_nothing_is_said_and_nothing_opened(helm: Helm) -> None:
    assert not [name for name in environment(helm) if "REDIS" in name or "OIDC" in name]
    assert ways_out(helm) == []
    assert {volume["name"] for volume in pod(helm)["volumes"]} == {"token-verification", "webhook-key", "tmp"}


@pytest.mark.parametrize(
    ("values", "ports"),
    but_first(
        ([LOGIN, f"rateLimit.redisURL={REDIS}"], [7000, 443]),
        (["rateLimit.redisURLSecret.name=cache"], [6379]),
        ([f"rateLimit.redisURL={REDIS}"], [7000]),
        (["rateLimit.redisURL=redis://cache.lab.svc"], [6379]),
        (["rateLimit.redisURL=redis://:pass@cache.lab.svc:7001"], [7001]),
        (["rateLimit.redisURLSecret.name=cache", "networkPolicy.redis.port=7002"], [7002]),
        ([LOGIN], [443]),
        ([LOGIN.replace("jwksURL=https://login.example.org", "jwksURL=http://login.example.org")], [80]),
        ([LOGIN.replace("example.org/keys", "example.org:8443/keys")], [8443]),
        ([LOGIN, "networkPolicy.oidc.port=9443"], [9443]),
        stay=2,
    ),
)
def test_the_way_to_what_is_configured_is_open(helm: Helm, values: list[str], ports: list[int]) -> None:
    expected: list[tuple[list[tuple[str, int]], list[Any]]] = [([("TCP", port)], []) for port in ports]
    assert ways_out(helm, *values) == [DNS, *expected]


def test_redis_is_told_openly_or_by_a_secret(helm: Helm) -> None:
    assert environment(helm, f"rateLimit.redisURL={REDIS}")["BERTH_RATE_LIMIT_REDIS_URL"] == REDIS
    by_secret = environment(helm, "rateLimit.redisURLSecret.name=cache")["BERTH_RATE_LIMIT_REDIS_URL"]
    assert by_secret == {"secretKeyRef": {"name": "cache", "key": "url"}}


def test_a_provider_is_told_whole_and_its_ca_is_mounted(helm: Helm) -> None:
    values = [LOGIN, "tokens.oidc.userPrefix=lab:", "tokens.oidc.caConfigMap=login-ca"]
    told = environment(helm, *values)
    assert {name: value for name, value in told.items() if "OIDC" in name} == {
        "BERTH_OIDC_ISSUER": "https://login.example.org",
        "BERTH_OIDC_JWKS_URL": "https://login.example.org/keys",
        "BERTH_OIDC_AUDIENCE": "berth",
        "BERTH_OIDC_USER_PREFIX": "lab:",
        "BERTH_OIDC_CA_FILE": "/etc/berth/oidc-ca/ca.crt",
    }
    spec = pod(helm, *values)
    assert {"name": "oidc-ca", "configMap": {"name": "login-ca"}} in spec["volumes"]
    mounts = spec["containers"][0]["volumeMounts"]
    assert {"name": "oidc-ca", "mountPath": "/etc/berth/oidc-ca", "readOnly": True} in mounts


def test_peers_narrow_the_way_to_redis_and_the_provider(helm: Helm) -> None:
    narrowed = [
        "networkPolicy.redis.to[0].podSelector.matchLabels.app=cache",
        "networkPolicy.oidc.to[0].ipBlock.cidr=192.0.2.0/24",
    ]
    _, redis, provider = ways_out(helm, f"rateLimit.redisURL={REDIS}", LOGIN, *narrowed)
    assert redis[1] == [{"podSelector": {"matchLabels": {"app": "cache"}}}]
    assert provider[1] == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]


def test_a_certificate_is_mounted_and_asked_for_by_probes_and_the_service(helm: Helm) -> None:
    secured = "api.tls.secretName=berth-api-tls"
    assert "BERTH_TLS_DIR" not in environment(helm)
    assert environment(helm, secured)["BERTH_TLS_DIR"] == "/etc/berth/tls"
    spec = pod(helm, secured)
    secret = {"secretName": "berth-api-tls", "defaultMode": 0o440}
    assert {"name": "tls", "secret": secret} in spec["volumes"]
    (container,) = spec["containers"]
    assert {"name": "tls", "mountPath": "/etc/berth/tls", "readOnly": True} in container["volumeMounts"]
    for values, scheme, port in (((), "http", 80), ((secured,), "https", 443)):
        (container,) = pod(helm, *values)["containers"]
        probes = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
        assert {probe["scheme"] for probe in probes} == {scheme.upper()}
        (offered,) = found(helm, "Service", "berth-api", *values)["spec"]["ports"]
        assert (offered["name"], offered["appProtocol"], offered["port"]) == (scheme, scheme, port)
