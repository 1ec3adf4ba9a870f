"""Contract §5, GET /: where everything is."""

import re

import httpx
import pytest

from .conftest import TIMEOUT
from .process import Api

pytestmark = pytest.mark.apiserver

HISTORIC = {
    "workspace_types",
    "workspace_deployments",
    "deployment_details",
    "create_instance",
    "vpn",
    "firewall",
    "terminate_instance",
}
UNDESCRIBED = {"/openapi.json", "/docs"}
"""Served beside the document."""


def shape(path: str) -> str:
    """A path with its parameters' names left out."""
    return re.sub(r"{[^}]*}", "{}", path)


def paths_of(template: str) -> set[str]:
    """Paths of a URL template (RFC 6570), with and without each optional segment."""
    path = re.sub(r"{\?[^}]*}", "", template)
    optional = re.search(r"{/[^}]*}", path)
    if optional is None:
        return {shape(path)}
    before, after = path[: optional.start()], path[optional.end() :]
    return paths_of(before + after) | paths_of(f"{before}/{{x}}{after}")


async def test_commands_and_routes_are_the_same(http: httpx.AsyncClient, api: Api) -> None:
    commands: dict[str, str] = (await http.get("/")).json()
    document = (await http.get("/openapi.json")).json()
    assert HISTORIC <= commands.keys()
    assert all(template.startswith(api.url + "/") for template in commands.values())
    listed = set().union(*(paths_of(template.removeprefix(api.url)) for template in commands.values()))
    routes = {shape(path) for path in document["paths"]} - {"/"} | UNDESCRIBED
    assert listed == routes
    for path in UNDESCRIBED:
        assert (await http.get(path)).status_code == 200


async def test_templates_name_the_query_parameters_of_their_routes(http: httpx.AsyncClient, api: Api) -> None:
    commands: dict[str, str] = (await http.get("/")).json()
    document = (await http.get("/openapi.json")).json()
    for template in commands.values():
        path = template.removeprefix(api.url)
        query = re.search(r"{\?([^}]*)}", path)
        named = set(query[1].split(",")) if query else set()
        found = [found for path_, found in document["paths"].items() if shape(path_) in paths_of(path)]
        described = {
            parameter["name"]
            for methods in found
            for operation in methods.values()
            for parameter in operation.get("parameters", [])
            if parameter["in"] == "query"
        }
        assert named == described, template


async def test_urls_are_below_the_address_that_was_asked(http: httpx.AsyncClient) -> None:
    async def base(**headers: str) -> str:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        url: str = (await http.get("/", headers=given)).json()["workspace_types"]
        return url.partition("/workspaces")[0]

    assert await base(Host="berth.example.test:8443") == "http://berth.example.test:8443"
    assert await base(Host="[2001:db8::1]:80") == "http://[2001:db8::1]:80"
    # The tests' own address is that of a trusted proxy here.
    assert await base(X_Forwarded_Proto="https", Host="berth.example.test") == "https://berth.example.test"
    forwarded = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "berth.example.test, inner.example.test"}
    assert await base(**forwarded) == "https://berth.example.test"
    own = str(http.base_url).rstrip("/")
    assert await base(X_Forwarded_Proto="javascript", X_Forwarded_Host="a/b") == own
    assert await base(Host="a b<c>") == own


async def test_proxy_headers_of_anybody_else_do_not_count(second: Api) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example.test"}
    async with httpx.AsyncClient(base_url=second.url, timeout=TIMEOUT) as client:
        commands = (await client.get("/", headers=headers)).json()
    assert all(template.startswith(second.url + "/") for template in commands.values())
