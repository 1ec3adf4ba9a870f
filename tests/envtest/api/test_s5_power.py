"""/addon/power: a holder works the relay of the machine. Operator and keeper are played here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from berth_core import ids, names
from berth_core.kube.model import timestamp
from berth_core.kube.types import Object
from berth_core.resources import Relay, RelaySpec, WorkspaceDeployment, manifest

from .conftest import made
from .world import LATER, World

pytestmark = pytest.mark.apiserver

MACHINE = {"addons": [{"name": "power", "kind": "relay", "secret": "pdu-a"}]}
NOT_THERE = "add-on not available"
INACTIVE = "instance not active"


@dataclass(frozen=True)
class Held:
    """An instance of alice's with a machine whose relay can be worked."""

    world: World
    instance: str
    deployment: WorkspaceDeployment

    @property
    def path(self) -> str:
        return f"/addon/power/{self.instance}"

    @property
    def relay(self) -> str:
        metadata = self.deployment.metadata
        return names.relay_object(ids.deployment_id(metadata.namespace, metadata.name), "power")

    async def seen(self) -> Relay:
        return Relay.parse(await self.world.client.get(Relay.api(), self.deployment.metadata.namespace, self.relay))

    async def says(self, kind: str, status: str, reason: str, **fields: Any) -> None:
        """Write as the keeper does."""
        shown = {"type": kind, "status": status, "reason": reason, "message": f"it is {reason}"}
        others = [one.wire() for one in (await self.seen()).status.conditions if one.type != kind]
        body: Object = {"status": {"conditions": [*others, shown | {"lastTransitionTime": LATER}], **fields}}
        await self.world.client.patch(
            Relay.api(), self.deployment.metadata.namespace, self.relay, body, subresource="status"
        )

    async def asks(self, **request: Any) -> None:
        """Write as the operator does."""
        body: Object = {"spec": {"request": request}}
        await self.world.client.patch(Relay.api(), self.deployment.metadata.namespace, self.relay, body)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[list[str]]:
        """Do everything that the relay is asked for; what that was."""
        orders: list[str] = []
        kind, namespace = Relay.api(), self.deployment.metadata.namespace
        _, version = await self.world.client.list(kind, namespace)

        async def run() -> None:
            async for event in self.world.client.watch(kind, namespace, version):
                request = event.object.get("spec", {}).get("request")
                if event.type != "MODIFIED" or request is None or event.object["metadata"]["name"] != self.relay:
                    continue
                if (event.object.get("status") or {}).get("number") != request["number"]:
                    orders.append(request["do"])
                    await self.says("Done", "True", "Switched", number=request["number"], attempts=1)

        task = asyncio.create_task(run())
        try:
            yield orders
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def held(world: World, alice: httpx.AsyncClient, *, lasts: int = 3600, usable: bool = True) -> Held:
    kind = await world.type()
    public_id = await world.deployment(kind, machine=MACHINE)
    wd = await world.deployment_resource(public_id)
    instance = await made(alice, public_id)
    claim = (await world.instance_resource(instance)).spec.claim
    assert claim is not None
    await world.as_operator(instance, deployment=claim.deployment, epoch=claim.epoch, machine=MACHINE)
    await world.make_ready(instance, lasts)
    one = Held(world, instance, wd)
    spec = RelaySpec.model_validate({"deployment": wd.metadata.name, "addon": "power", "secret": "pdu-a"})
    body = manifest(Relay, wd.metadata.namespace, one.relay, spec)
    await world.client.create(Relay.api(), wd.metadata.namespace, body)
    if usable:
        await one.says("Usable", "True", "Usable")
    return one


def refused(answer: httpx.Response, status: int, message: str) -> bool:
    return (answer.status_code, answer.json()["error_message"]) == (status, message)


async def test_the_holder_switches_power_and_hears_when_it_was_done(world: World, alice: httpx.AsyncClient) -> None:
    one = await held(world, alice)
    assert (await alice.get(one.path)).json() == {"status": "active"}
    shown = (await alice.get(f"/deployment/{one.deployment.public_id}")).json()
    assert shown["supported_addons"] == ["power"]
    async with one.kept() as orders:
        for do in ("off", "on", "cycle"):
            answer = await alice.post(one.path, json={"do": do})
            expected = {"status": "active", "do": do, "done": True, "message": "it is Switched"}
            assert (answer.status_code, answer.json()) == (200, expected)
            assert (await alice.get(one.path)).json() == expected
    assert orders == ["off", "on", "cycle"]
    request = (await one.seen()).spec.request
    assert request is not None
    assert (request.epoch, request.number, request.end) == (1, 3, False)


async def test_what_is_not_done_at_once_is_told_by_the_same_path(world: World, alice: httpx.AsyncClient) -> None:
    one = await held(world, alice)
    answer = await alice.post(one.path, json={"do": "off"})
    assert (answer.status_code, answer.headers["Location"]) == (202, one.path)
    assert answer.json() == {"status": "active", "do": "off", "done": False}
    again = await alice.post(one.path, json={"do": "on"})
    assert refused(again, 503, "This instance is busy. Try again later.")
    await one.says("Done", "False", "Unreachable", number=1, attempts=1)
    assert (await alice.get(one.path)).json()["message"] == "it is Unreachable"
    await one.says("Done", "False", "SecretMissing", number=1, attempts=2)
    assert "message" not in (await alice.get(one.path)).json(), "the Secret is no business of the holder's"
    await one.says("Done", "True", "Switched", number=1, attempts=3)
    assert (await alice.get(one.path)).json()["done"] is True
    async with one.kept():
        assert (await alice.post(one.path, json={"do": "on"})).status_code == 200


@pytest.mark.parametrize("body", [{}, {"do": "explode"}, {"do": None}, {"do": "nothing"}, {"do": ["off"]}])
async def test_another_order_is_refused(world: World, alice: httpx.AsyncClient, body: Any) -> None:
    one = await held(world, alice)
    answer = await alice.post(one.path, json=body)
    assert answer.status_code == 400
    assert "`do`" in answer.json()["error_message"]
    assert (await one.seen()).spec.request is None


async def test_nobody_works_a_relay_without_a_lease_that_has_time(world: World, alice: httpx.AsyncClient) -> None:
    over = await held(world, alice)
    past = timestamp(datetime.now(UTC) - timedelta(seconds=1))
    await world.as_operator(over.instance, expireTime=past)
    assert refused(await alice.post(over.path, json={"do": "on"}), 400, INACTIVE)
    ends = await held(world, alice)
    await world.as_operator(ends.instance, reason="Terminated")
    assert refused(await alice.post(ends.path, json={"do": "on"}), 400, INACTIVE)
    assert refused(await alice.get(ends.path), 404, NOT_THERE)
    lost = await held(world, alice)
    body: Object = {"status": {"lease": None}}
    metadata = lost.deployment.metadata
    await world.client.patch(WorkspaceDeployment.api(), metadata.namespace, metadata.name, body, subresource="status")
    assert refused(await alice.post(lost.path, json={"do": "on"}), 400, INACTIVE)
    for one in (over, ends, lost):
        assert (await one.seen()).spec.request is None


async def test_nothing_follows_the_request_of_the_end(world: World, alice: httpx.AsyncClient) -> None:
    one = await held(world, alice)
    await one.asks(epoch=1, number=1, do="off", end=True, since=LATER)
    assert refused(await alice.post(one.path, json={"do": "on"}), 400, INACTIVE)
    await one.asks(epoch=2, number=2, do="on", end=False, since=LATER)
    assert refused(await alice.post(one.path, json={"do": "on"}), 400, INACTIVE)
    assert (await alice.get(one.path)).json() == {"status": "active"}, "another lease's request is not shown"


async def test_a_relay_that_cannot_be_worked_is_starting(world: World, alice: httpx.AsyncClient) -> None:
    one = await held(world, alice, usable=False)
    assert (await alice.get(one.path)).json() == {"status": "starting"}
    assert refused(await alice.post(one.path, json={"do": "on"}), 503, "This instance is busy. Try again later.")
    await one.says("Usable", "False", "SecretMissing")
    assert (await alice.get(one.path)).json() == {"status": "starting"}


async def test_a_machine_without_a_relay_has_no_such_add_on(world: World, alice: httpx.AsyncClient) -> None:
    instance = await made(alice, await world.type(deployments=1))
    await world.make_ready(instance)
    for answer in (
        await alice.get(f"/addon/power/{instance}"),
        await alice.post(f"/addon/power/{instance}", json={"do": "off"}),
        await alice.delete(f"/addon/power/{instance}"),
    ):
        assert refused(answer, 404, NOT_THERE)
