"""Machines of owners: registered, changed and retired over HTTP, within what a MachineGrant permits."""

import itertools
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from berth_core import names
from berth_core.resources import MachineGrant

from .book import fresh
from .conftest import user_client
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

Json = dict[str, Any]
_numbers = itertools.count(1)
UNKNOWN = "0190f7a0-0000-7000-8000-000000000000"


class Place:
    """A type of its own, and a network that no other test has."""

    def __init__(self, world: World, type_name: str, number: int) -> None:
        self.world = world
        self.type = type_name
        self.prefix = f"198.18.{number}"

    async def grant(self, *users: str, ports: str = "30002", most: int = 2, **spec: Any) -> str:
        """Let users register machines of the network; answer the grant's name."""
        name = f"grant-{next(_numbers)}"
        network = {"cidr": f"{self.prefix}.0/24", "ports": [{"port": int(ports)}]}
        body = {
            "apiVersion": "berth.dev/v1alpha1",
            "kind": "MachineGrant",
            "metadata": {"name": name, "namespace": self.world.namespaces.workspaces},
            "spec": {"users": list(users), "types": [self.type], "networks": [network], "deployments": most} | spec,
        }
        await self.world.client.create(MachineGrant.api(), self.world.namespaces.workspaces, body)
        return name

    def machine(self, host: int = 40, *ports: str) -> Json:
        """A machine in the network."""
        return {"network": {"addresses": [f"{self.prefix}.{host}"], "ports": list(ports) or ["30002"]}}

    def request(self, host: int = 40, **options: Any) -> Json:
        """A request to register one."""
        return {"type": self.type, "machine": self.machine(host)} | options


@pytest.fixture
async def place(world: World) -> Place:
    return Place(world, await world.type(), next(_numbers))


async def registered(client: httpx.AsyncClient, body: Json) -> str:
    answer = await client.post("/deployment", json=body)
    assert answer.status_code == 200, answer.text
    made: str = answer.json()["id"]
    return made


def refused(answer: httpx.Response, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    for word in words:
        assert word in answer.json()["error_message"]


async def test_an_owner_registers_a_machine_within_a_grant(
    world: World, place: Place, alice: httpx.AsyncClient
) -> None:
    grant = await place.grant("alice")
    wanted: Json = {"desc": "the one by the door", "region": "lab", "type_version": 3, "health": {"tcp": 30002, "every": 5}}
    answer = await alice.post("/deployment", json=place.request(**wanted))
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made["grant"] == grant
    resource = await world.deployment_resource(made["id"])
    spec = resource.spec
    assert resource.metadata.name == made["id"]
    assert resource.metadata.labels.keys() >= {names.TOKEN_LABEL, names.MANAGED_BY_LABEL}
    assert (spec.type, spec.owners, spec.grant) == (place.type, ["alice"], grant)
    assert (spec.description, spec.region, spec.type_version) == ("the one by the door", "lab", 3)
    assert spec.health is not None
    assert (spec.health.tcp, spec.health.every, spec.health.host) == (30002, 5, None)
    assert resource.network is not None
    assert resource.network.wire() == {
        "addresses": [f"{place.prefix}.40/32"],
        "ports": [{"protocol": "TCP", "port": 30002}],
    }
    shown = (await alice.get(f"/deployment/{made['id']}")).json()
    assert shown["machine"] == {"network": {"addresses": [f"{place.prefix}.40/32"], "ports": ["30002/TCP"]}}
    assert shown["grant"] == grant


async def test_addresses_are_shown_to_owners_and_superusers_only(
    place: Place, http: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    await place.grant("alice")
    made = await registered(alice, place.request())
    for client in (http, bob):
        answer = await client.get(f"/deployment/{made}")
        assert answer.json()["machine"] == {"network": {"ports": ["30002/TCP"]}}
        assert place.prefix not in answer.text
        assert "grant" not in answer.json()
    for client in (alice, root):
        assert (await client.get(f"/deployment/{made}")).json()["machine"]["network"]["addresses"]

    async def is_listed() -> bool:
        return made in (await http.get("/deployments?info")).json()["info"]

    await eventually(is_listed)
    for client in (http, bob, alice, root):
        answer = await client.get("/deployments?info")
        assert answer.json()["info"][made]["machine"] == {"network": {"ports": ["30002/TCP"]}}
        assert place.prefix not in answer.text
