"""Contract §4: every route with every kind of token, against the table of what each may."""

import hashlib
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from berth_core import ids
from berth_core.resources import MachineGrant, MachineGrantSpec, TokenRevocation, TokenRevocationSpec, manifest
from berth_core.resources.machines.grant import GrantedNetwork

from .ci import URL, artifacts_of, asked, end, log_of
from .conftest import Setting, made, user_client
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

NONE, EXPIRED, REVOKED, READ_ONLY = "no token", "expired", "revoked", "read-only"
ELSEWHERE, HERE, OTHER = "in another instance", "in this instance", "other user"
OWNER, SUPERUSER = "owner", "superuser"

NOBODY: Final = "0190f7a0-0000-7000-8000-000000000000"

Expected = dict[str, int]


def table(*, read_only: int, elsewhere: int, here: int, other: int, owner: int) -> Expected:
    """Statuses by kind of token; one that does not count is always refused with 400."""
    refused = dict.fromkeys((NONE, EXPIRED, REVOKED), 400)
    return refused | {
        READ_ONLY: read_only,
        ELSEWHERE: elsewhere,
        HERE: here,
        OTHER: other,
        OWNER: owner,
        SUPERUSER: owner,
    }


def public(status: int = 200) -> Expected:
    """For everybody, whatever the token."""
    return dict.fromkeys((NONE, EXPIRED, REVOKED, READ_ONLY, ELSEWHERE, HERE, OTHER, OWNER, SUPERUSER), status)


def one_s_own(status: int = 200) -> Expected:
    """Expected for everybody with a token, about their own objects."""
    return table(read_only=status, elsewhere=400, here=400, other=status, owner=status)


def change_of_one_s_own(status: int = 200) -> Expected:
    """The same, for what read-only tokens may not."""
    return table(read_only=400, elsewhere=400, here=400, other=status, owner=status)


def of_an_instance(status: int = 200) -> Expected:
    """Reads something of an instance."""
    return table(read_only=status, elsewhere=400, here=status, other=404, owner=status)


def change_of_an_instance(status: int = 200) -> Expected:
    """Changes something of an instance."""
    return table(read_only=400, elsewhere=400, here=status, other=404, owner=status)


def of_a_reservation(status: int = 200) -> Expected:
    """Reads a reservation."""
    return table(read_only=status, elsewhere=400, here=400, other=404, owner=status)


def change_of_a_reservation(status: int = 200) -> Expected:
    """Changes a reservation."""
    return table(read_only=400, elsewhere=400, here=400, other=404, owner=status)


of_a_project, change_of_a_project = of_a_reservation, change_of_a_reservation


def government() -> Expected:
    """Changes who may have a deployment, which everybody can see."""
    return table(read_only=400, elsewhere=400, here=400, other=403, owner=200)


@dataclass(frozen=True)
class Stage:
    """Objects that a request can be about; made anew where the previous request may have changed them."""

    type_name: str
    deployment: str
    instance: str
    elsewhere: str
    reservation: str = ""
    rule: int = 0
    project: str = ""
    build: str = ""


Body = dict[str, Any]
GRANT: Final = "matrix"
_hosts: Final = itertools.count(1)


def registration(stage: Stage) -> Body:
    """Return a request to register a machine at an address that nobody has."""
    address = f"198.19.0.{next(_hosts)}"
    return {"type": stage.type_name, "machine": {"network": {"addresses": [address]}}}


ROUTES: Final[dict[str, tuple[Expected, Callable[[Stage], Body]]]] = {}


def route(name: str, expected: Expected, body: Callable[[Stage], Body] = lambda _: {}) -> None:
    """Add a row."""
    ROUTES[name] = (expected, body)


for path in ("/", "/workspaces", "/deployments", "/deployments/{type_name}", "/deployment/{deployment_id}"):
    route(f"GET {path}", public())
for path in ("/queuelen/{deployment_id}", "/healthz", "/readyz", "/.well-known/berth-webhook-key"):
    route(f"GET {path}", public())
for method in ("GET", "POST", "DELETE"):
    route(f"{method} /addon/{{rest}}", public(404))
for path in ("/qlen/{type_name}", "/qlen", "/instances", "/instances/{type_name}", "/reservations", "/rules"):
    route(f"GET {path}", one_s_own())
route("GET /deployment/{deployment_id}/rules", one_s_own())
route("POST /new", change_of_one_s_own(), lambda s: {"wds": [s.deployment]})
route("POST /new/{target}", change_of_one_s_own())
route("POST /terminate/{instance_id}", change_of_an_instance())
for path in ("/instance/{instance_id}", "/instance/{instance_id}/sshkey", "/firewall/{instance_id}"):
    route(f"GET {path}", of_an_instance())
route("POST /instance/{instance_id}/ka", change_of_an_instance())
route("POST /instance/{instance_id}/extend", change_of_an_instance(), lambda _: {"expire_d": 86400})
route("POST /firewall/{instance_id}", change_of_an_instance())
route("DELETE /firewall/{instance_id}", change_of_an_instance())
route("GET /vpn/{instance_id}", of_an_instance())
route("POST /vpn/{instance_id}", change_of_an_instance(503))
route("DELETE /vpn/{instance_id}/{client_id}", change_of_an_instance(404))
route("GET /addon/power/{instance_id}", of_an_instance(404))
route("POST /addon/power/{instance_id}", change_of_an_instance(404), lambda _: {"do": "off"})
route("GET /reservation/{reservation_id}", of_a_reservation())
route("DELETE /reservation/{reservation_id}", change_of_a_reservation())
route("POST /deployment/{deployment_id}/rule", government(), lambda _: {"cap": "CAP_INSTANTIATE", "user": "carol"})
route("DELETE /deployment/{deployment_id}/rule/{rule_id}", government())
route("POST /deployment", table(read_only=400, elsewhere=400, here=400, other=403, owner=200), registration)
route("PATCH /deployment/{deployment_id}", government(), lambda _: {"desc": "x"})
route("DELETE /deployment/{deployment_id}", government())
route("POST /deployment/{deployment_id}/lockout", government())
route("DELETE /deployment/{deployment_id}/lockout", government())
route("GET /ci/projects", one_s_own())
route("POST /ci/new", change_of_one_s_own(), lambda _: {"repo_url": URL})
for path in ("", "/{job_id}", "/{job_id}/log", "/{job_id}/artifacts"):
    route(f"GET /ci/project/{{project_id}}/job{path}", of_a_project())
route("POST /ci/project/{project_id}/job", change_of_a_project(), lambda _: {"branch": "main", "commit": "a" * 40})
route("POST /ci/project/{project_id}/job/{job_id}", change_of_a_project(), lambda _: {"do": "restart"})
route("POST /revoke/{sha256}", change_of_one_s_own())
route("POST /purge", change_of_one_s_own())

PURGED: Final = "POST /purge"
"""Ends its user's tokens, so each cell has a user of its own."""


@dataclass(frozen=True)
class Tokens:
    """Makes the tokens of the table's columns."""

    signer: Signer
    revoked: str

    def headers(self, column: str, stage: Stage, suffix: str = "") -> dict[str, str]:
        """The headers of a request with a token of one kind."""
        if column == NONE:
            return {}
        if column == REVOKED:
            return {"Authorization": f"Bearer {self.revoked}"}
        claims: dict[str, dict[str, Any]] = {
            EXPIRED: {"exp": 1_700_000_000},
            READ_ONLY: {"sc": ["ro"]},
            ELSEWHERE: {"in": stage.elsewhere},
            HERE: {"in": stage.instance},
            SUPERUSER: {"su": True},
        }
        user = {OTHER: "matrix-other", SUPERUSER: "matrix-root"}.get(column, "matrix-owner")
        return {"Authorization": f"Bearer {self.signer.token(user + suffix, **claims.get(column, {}))}"}


@pytest_asyncio.fixture(scope="module")
async def tokens(signer: Signer, setting: Setting, world: World, http: httpx.AsyncClient) -> Tokens:
    """The tokens, one of which was revoked before."""
    revoked = signer.token("matrix-owner", jti="revoked")
    digest = hashlib.sha256(revoked.encode()).hexdigest()
    spec = TokenRevocationSpec(sha256=digest, user="matrix-owner", expires="2099-01-01T00:00:00Z")
    body = manifest(TokenRevocation, setting.namespaces.access, ids.revocation(digest, "matrix-owner"), spec)
    await world.client.create(TokenRevocation.api(), setting.namespaces.access, body)

    async def is_refused() -> bool:
        answer = await http.get("/instances", headers={"Authorization": f"Bearer {revoked}"})
        return answer.status_code == 400

    await eventually(is_refused)
    return Tokens(signer, revoked)


@pytest_asyncio.fixture(scope="module")
async def owner(signer: Signer, api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """The owner, for what each cell needs."""
    async with user_client(api, signer.token("matrix-owner")) as client:
        yield client


class Stages:
    """Makes stages, with a reservation or a rule where a path names one."""

    def __init__(self, world: World, owner: httpx.AsyncClient, type_name: str, reservable: str) -> None:
        self._world = world
        self._owner = owner
        self._type = type_name
        self._reservable = reservable
        self._elsewhere = ""

    async def make(self, path: str) -> Stage:
        """A free deployment, an instance with all that can be asked for, and what else a path names."""
        self._elsewhere = self._elsewhere or await self._instance()
        free = await self._deployment()
        reservation, rule = "", 0
        if "{reservation_id}" in path:
            waiting = await self._owner.post(f"/new/{self._reservable}", json={"reserve": True})
            reservation = waiting.json()["id"]
        if "{rule_id}" in path:
            given = await self._owner.post(f"/deployment/{free}/rule", json={"cap": "CAP_INSTANTIATE", "user": "dave"})
            rule = given.json()["rule_id"]
        project = build = ""
        if "{project_id}" in path:
            project, build = "matrix", await self._build()
        return Stage(self._type, free, await self._instance(), self._elsewhere, reservation, rule, project, build)

    async def _build(self) -> str:
        build = await asked(self._owner, "matrix")
        log = await log_of(self._world, build, b"$ make\n")
        await end(self._world, build, log=log, artifacts=await artifacts_of(self._world, build, b"x"))
        return build

    async def _deployment(self) -> str:
        return await self._world.deployment(self._type, owners=["matrix-owner"], grant=GRANT)

    async def _instance(self) -> str:
        instance = await made(self._owner, await self._deployment(), keepalive=True, vpn=True)
        await self._world.make_ready(instance)
        return instance


@pytest_asyncio.fixture(scope="module")
async def stages(world: World, owner: httpx.AsyncClient) -> Stages:
    """The maker of stages; its reservations wait for a deployment that somebody has."""
    taken = await world.deployment(await world.type())
    await made(owner, taken)
    type_name = await world.type()
    spec = MachineGrantSpec(
        users=["matrix-owner", "matrix-root"],
        types=[type_name],
        networks=[GrantedNetwork(cidr="198.19.0.0/24")],
        deployments=1000,
    )
    grant = manifest(MachineGrant, world.namespaces.workspaces, GRANT, spec)
    await world.client.create(MachineGrant.api(), world.namespaces.workspaces, grant)
    return Stages(world, owner, type_name, taken)


def filled(path: str, stage: Stage) -> str:
    """A path with what a stage has."""
    values = {
        "type_name": stage.type_name,
        "target": stage.deployment,
        "deployment_id": stage.deployment,
        "instance_id": stage.instance,
        "reservation_id": stage.reservation,
        "rule_id": stage.rule,
        "sha256": hashlib.sha256(stage.instance.encode()).hexdigest(),
        "rest": "cam",
        "client_id": "laptop",
        "project_id": stage.project,
        "job_id": stage.build,
    }
    query = f"?wds={stage.deployment}" if path == "/qlen" else ""
    return path.format(**values) + query


async def test_the_table_has_every_route(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    served = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert ROUTES.keys() == served


@pytest.mark.parametrize("name", ROUTES)
async def test_nobody_gets_at_what_is_not_his(
    name: str, http: httpx.AsyncClient, tokens: Tokens, stages: Stages
) -> None:
    expected, body = ROUTES[name]
    method, _, path = name.partition(" ")
    seen: Expected = {}
    stage = await stages.make(path)
    for column, status in expected.items():
        if status < 300 and method != "GET" and 200 in seen.values():
            stage = await stages.make(path)
        suffix = f"-{column.replace(' ', '-')}" if name == PURGED else ""
        headers = tokens.headers(column, stage, suffix)
        answer = await http.request(method, filled(path, stage), headers=headers, json=body(stage))
        seen[column] = answer.status_code
    assert seen == expected


HIDDEN: Final = {name: row for name, row in ROUTES.items() if row[0][OTHER] == 404 and row[0][OWNER] < 300}
"""Routes where another's and nobody's are the same."""


@pytest.mark.parametrize("name", HIDDEN)
async def test_what_is_not_yours_looks_like_what_does_not_exist(
    name: str, http: httpx.AsyncClient, tokens: Tokens, stages: Stages
) -> None:
    method, _, path = name.partition(" ")
    stage = await stages.make(path)
    headers, body = tokens.headers(OTHER, stage), HIDDEN[name][1](stage)
    another_s = await http.request(method, filled(path, stage), headers=headers, json=body)
    nobody = replace(stage, instance=NOBODY, reservation=NOBODY, project=NOBODY, build=NOBODY)
    nobody_s = await http.request(method, filled(path, nobody), headers=headers, json=body)
    kind = next((kind for kind in ("reservation", "project") if kind in path), "instance")
    assert another_s.status_code == nobody_s.status_code == 404
    assert another_s.json() == nobody_s.json() == {"error_message": f"{kind} not found"}
