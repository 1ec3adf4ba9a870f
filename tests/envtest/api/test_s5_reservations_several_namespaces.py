"""Contract §5, "reservations": what one waits for where its wish matches in several workspace namespaces."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import httpx
import pytest
import pytest_asyncio

from berth_core.kube.connection import connected
from berth_core.resources import Reservation

from . import process
from .conftest import TIMEOUT, Setting, user_client
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver


@dataclass(frozen=True)
class Labs:
    """Two labs behind one API."""

    first: World
    second: World
    alice: httpx.AsyncClient
    bob: httpx.AsyncClient


@pytest_asyncio.fixture(scope="module")
async def labs(setting: Setting, signer: Signer) -> AsyncIterator[Labs]:
    one = setting.namespaces
    two = replace(one, workspaces=one.workspaces + "-2")
    setting.server.kubectl("create", "namespace", two.workspaces)
    (setting.folder / "labs").mkdir()
    kubeconfig = process.restricted_kubeconfig(setting.server, two, setting.folder / "labs")
    settings = setting.environment(
        KUBECONFIG=str(kubeconfig), BERTH_WORKSPACE_NAMESPACES=f"{one.workspaces},{two.workspaces}"
    )
    with ExitStack() as stack:
        replica = await asyncio.to_thread(
            stack.enter_context, process.running(settings, setting.folder / "labs" / "api.log")
        )
        async with (
            httpx.AsyncClient(base_url=replica.url, timeout=TIMEOUT) as http,
            user_client(replica, signer.token("alice")) as alice,
            user_client(replica, signer.token("bob")) as bob,
            connected("tests", str(setting.server.kubeconfig)) as client,
        ):
            yield Labs(World(client, one, http), World(client, two, http), alice, bob)
        await asyncio.to_thread(stack.close)


async def test_a_reservation_waits_in_the_namespace_of_the_shortest_queue(labs: Labs) -> None:
    alice, bob = labs.alice, labs.bob
    kind = await labs.first.type("labs_type")
    await labs.second.type(kind)
    here, there, there_too = [await lab.deployment(kind) for lab in (labs.first, labs.second, labs.second)]
    for deployment in (here, there, there_too):
        assert (await alice.post(f"/new/{deployment}")).status_code == 200
    for deployment in (there, there_too):
        await reserve(alice, f"/new/{deployment}")
    await eventually(lambda: lengths(bob, {here: 1, there: 2, there_too: 2}))

    by_type = await reserve(bob, f"/new/{kind}")
    assert (await resource(labs.first, by_type)).spec.workspace_type == kind
    assert (await bob.get(f"/reservation/{by_type}")).json()["position"] == 1
    await reserve(bob, f"/new/{here}")
    await eventually(lambda: lengths(bob, {here: 3, there: 2, there_too: 2}))

    by_list = await reserve(bob, "/new", wds=[there_too, here, there])
    shown = (await bob.get(f"/reservation/{by_list}")).json()
    assert (shown["desc"], shown["position"]) == (f"deployments {there_too},{there}", 3)
    wanted = (await resource(labs.second, by_list)).spec.deployments
    names = [(await labs.second.deployment_resource(d)).metadata.name for d in (there_too, there)]
    assert wanted == names


async def reserve(client: httpx.AsyncClient, path: str, **options: object) -> str:
    """Ask for a place in the queue; its id."""
    answer = (await client.post(path, json={"reserve": True, **options})).json()
    assert answer["success"] is False
    place: str = answer["id"]
    return place


async def resource(lab: World, place: str) -> Reservation:
    """The resource of a reservation in a lab's namespace."""
    return Reservation.parse(await lab.client.get(Reservation.api(), lab.namespaces.workspaces, place))


async def lengths(client: httpx.AsyncClient, expected: dict[str, int]) -> bool:
    """Whether the queues are as long as that."""
    found = {deployment: (await client.get(f"/queuelen/{deployment}")).json()["len"] for deployment in expected}
    return found == expected
