"""values.schema.json: what it refuses, so that a typing error is not a silent default."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from berth_dev.errors import ClusterError

from .conftest import CHART, Helm


def test_helm_finds_no_fault(helm: Helm) -> None:
    helm("lint", "--strict", CHART)


REFUSED = [
    ("replicas=3", "replicas"),
    ("api.replica=3", "replica"),
    ("api.service.typ=NodePort", "typ"),
    ("api.ingress.tls.secret=x", "secret"),
    ("operator.image=x", "image"),
    ("image.repo=x", "repo"),
    ("instances.blockedCIDRs[0]=10.0.0.0/8", "blockedCIDRs"),
    ("uninstall.forced=true", "forced"),
    ("api.replicas=0", "api/replicas"),
    ("api.replicas=many", "api/replicas"),
    ("api.service.type=Nodeport", "api/service/type"),
    ("api.service.nodePort=70000", "api/service/nodePort"),
    ("api.service.port=0", "api/service/port"),
    ("api.tls.secret=x", "secret"),
    ("api.allowPlainHttp=maybe", "api/allowPlainHttp"),
    ("api.spread=Never", "api/spread"),
    ("api.publicUrl=berth.example.org", "api/publicUrl"),
    ("api.trustedProxies[0]=10.0.0.1", "api/trustedProxies/0"),
    ("api.allowedOrigins[0]=example.org", "api/allowedOrigins/0"),
    ("image.pullPolicy=always", "image/pullPolicy"),
    ("image.digest=abc", "image/digest"),
    ("image.repository=", "image/repository"),
    ("namespaces.workspaces=lab", "namespaces/workspaces"),
    ("namespaces.create=maybe", "namespaces/create"),
    ("namespaces.access=Berth_Access", "namespaces/access"),
    ("instances.serviceType=ClusterIP", "instances/serviceType"),
    ("instances.machineCidrs[0]=robots", "instances/machineCidrs/0"),
    ("instances.resolvers[0]=dns.example", "instances/resolvers/0"),
    ("ci.egress[0]=everywhere", "ci/egress"),
    ("instances.nodeAddresses.node-1=lab.example", "instances/nodeAddresses/node-1"),
    ("networkPolicy.sources=all", "networkPolicy/sources"),
    ("networkPolicy.probeInterval=hourly", "networkPolicy/probeInterval"),
    ("networkPolicy.metricsFrom[0].pods=x", "pods"),
    ("history.retention=30", "history/retention"),
    ("history.retention=forever", "history/retention"),
    ("uninstall.deadline=0", "uninstall/deadline"),
    ("rateLimit.perUser=1", "perUser"),
    ("rateLimit.perToken=0", "rateLimit/perToken"),
    ("rateLimit.refusalStatus=404", "rateLimit/refusalStatus"),
    ("rateLimit.redisURL=redis.lab:6379", "rateLimit/redisURL"),
    ("rateLimit.redisURLSecret.secret=x", "secret"),
    ("tokens.longestLifeDays=0", "tokens/longestLifeDays"),
    ("tokens.oidc.userPrefix=", "tokens/oidc/userPrefix"),
    ("tokens.oidc.jwksURL=login.example.org", "tokens/oidc/jwksURL"),
    ("tokens.oidc.jwksUrl=https://login.example.org/keys", "jwksUrl"),
    ("networkPolicy.redis.port=0", "networkPolicy/redis/port"),
    ("webhooks.allowedCIDRs[0]=10.0.0.0/8", "allowedCIDRs"),
    ("webhooks.allowedCidrs[0]=10.0.0.1", "webhooks/allowedCidrs/0"),
    ("webhooks.retentionDays=0", "webhooks/retentionDays"),
    ("notifier.replicas=0", "notifier/replicas"),
]


@pytest.mark.parametrize(("value", "named"), REFUSED)
def test_what_is_unknown_or_wrong_is_refused_by_name(helm: Helm, value: str, named: str) -> None:
    with pytest.raises(ClusterError) as refused:
        helm("template", CHART, "--validate", "--set", value)
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("namespaces.access=berth-workspaces", "a namespace of their own"),
        ("namespaces.access=berth", "a namespace of their own"),
        ("namespaces.workspaces[0]=berth", "pods of leases need namespaces of their own"),
        ("api.ingress.enabled=true,api.ingress.tls.secretName=x", "api.ingress.host: write the name that clients use"),
        ("api.httpRoute.enabled=true,api.httpRoute.tls=true", "name the Gateway"),
        ("tokens.oidc.issuer=https://login.example.org", "belong together"),
        ("tokens.oidc.jwksURL=https://login.example.org/keys", "belong together"),
        (
            "tokens.oidc.issuer=berth,tokens.oidc.jwksURL=https://berth.example.org/keys",
            "one could speak for the other",
        ),
        ("rateLimit.redisURL=redis://a,rateLimit.redisURLSecret.name=b", "give one of them"),
    ],
)
def test_values_that_do_not_go_together_are_refused(helm: Helm, value: str, message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        helm("template", "berth", CHART, "-n", "berth", "--validate", "--set", value)


ROUTE = "api.httpRoute.enabled=true,api.httpRoute.parentRefs[0].name=lab,api.httpRoute.parentRefs[0].sectionName=https"
PLAIN = [
    ("api.service.type=NodePort", "api.tls.secretName"),
    ("api.service.type=LoadBalancer", "api.tls.secretName"),
    ("api.ingress.enabled=true,api.ingress.host=b.example.org", "api.ingress.tls.secretName"),
    ("api.ingress.enabled=true,api.ingress.host=b.example.org,api.tls.secretName=x", "api.ingress.tls.secretName"),
    (ROUTE, "api.httpRoute.tls"),
    (f"{ROUTE},api.httpRoute.tls=true,api.httpRoute.parentRefs[1].name=open", "sectionName"),
]


@pytest.mark.parametrize(("values", "remedy"), PLAIN)
def test_plain_http_is_not_published_beyond_the_cluster_unless_told(helm: Helm, values: str, remedy: str) -> None:
    words: list[str | Path] = ["template", "berth", CHART, "-n", "berth", "--set"]
    with pytest.raises(ClusterError) as refused:
        helm(*words, values)
    said = str(refused.value)
    assert remedy in said
    assert "or api.allowPlainHttp=true where that is meant" in said
    assert "kind: Service" in helm(*words, f"{values},api.allowPlainHttp=true")


def test_a_gateway_route_has_its_parents_and_names(helm: Helm) -> None:
    """The Gateway API's kinds are not on this API server, so this is what helm makes of the values."""
    values = f"{ROUTE},api.httpRoute.tls=true,api.httpRoute.hostnames[0]=b.example.org"
    made = helm("template", "berth", CHART, "-n", "berth", "--set", values, "-s", "templates/api/httproute.yaml")
    spec = yaml.safe_load(made)["spec"]
    assert spec == {
        "parentRefs": [{"name": "lab", "sectionName": "https"}],
        "hostnames": ["b.example.org"],
        "rules": [{"backendRefs": [{"name": "berth-api", "port": 80}]}],
    }


def test_every_value_has_a_place_in_the_schema_and_no_object_is_open(helm: Helm) -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def compare(node: dict[str, Any], value: Any, path: str) -> None:
        if node.get("type") != "object" or "properties" not in node:
            return
        assert node["additionalProperties"] is False, path
        missing = set(node["properties"]) - set(value) - {"global", "claims"}
        assert not missing, f"{path}: {missing}"
        for key, child in value.items():
            compare(node["properties"][key], child, f"{path}.{key}")

    compare(schema, values, "")


def test_every_part_is_explained_where_it_stands() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    parts = [n for n, line in enumerate(lines) if line and line[0].isalpha()]
    around = {n: lines[n - 1] + lines[n + 1] for n in parts}
    assert [lines[n] for n in parts if "#" not in around[n]] == []
