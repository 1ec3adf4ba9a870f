"""Replicas whose clocks are wrong: nothing's order, age or repeat rests on them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from promised import promised

from berth_api.idempotency.records import Records
from berth_core import ids, names
from berth_core.kube import clock
from berth_core.kube.clock import StoreClock
from berth_core.kube.connection import connected
from berth_core.kube.model import parse_time
from berth_core.kube.types import Kind
from berth_core.resources import Reservation, WorkspaceDeployment

from . import ci, process
from .book import Book, fresh
from .conftest import Setting, made, user_client
from .gateway import Gateway, gateway
from .process import Api
from .signing import Signer
from .test_s1_idempotency_over_failures import MADE_AT
from .world import World, eventually
from .wrong_clock import wrong_by

pytestmark = pytest.mark.apiserver

LEASES = Kind("coordination.k8s.io/v1", "leases")
HOURS = 12 * 3600
"""For so long tokens of these tests count: longer than any clock is wrong."""
UNKNOWN = "the cluster's time is not known here well enough to make anything. Try again later."


@contextlib.asynccontextmanager
async def replica(setting: Setting, world: World, seconds: int) -> AsyncIterator[Api]:
    """A replica whose clock is so much ahead, or behind."""
    settings = setting.environment(**wrong_by(seconds))
    async with process.in_thread(process.running(settings, setting.folder / f"clock{seconds:+}.log")) as running:
        async with httpx.AsyncClient(base_url=running.url, timeout=60) as client:
            with world.heard_at(client):
                yield running


def client_of(api: Api, signer: Signer, user: str) -> httpx.AsyncClient:
    return user_client(api, signer.token(user, iat=None, exp=int(time.time()) + HOURS))


@pytest.mark.parametrize(
    ("mine", "others"),
    [
        (0, 60),
        pytest.param(
            *(-60, 0),
            marks=pytest.mark.release(
                twin="tests/envtest/api/test_clocks.py::test_two_replicas_a_minute_apart_make_one_instance_for_one_key"
            ),
        ),
    ],
)
async def test_two_replicas_a_minute_apart_make_one_instance_for_one_key(
    mine: int, others: int, setting: Setting, world: World, signer: Signer
) -> None:
    """The other is asked when the first has taken the lease, and has not made the instance."""
    book = Book(world)
    async with gateway(setting.server.kubeconfig) as between, replica(setting, world, others) as other:
        kubeconfig = between.kubeconfig(setting.kubeconfig, setting.folder / f"behind{mine}.kubeconfig")
        settings = setting.environment(KUBECONFIG=str(kubeconfig), **wrong_by(mine))
        async with (
            process.in_thread(process.running(settings, kubeconfig.with_suffix(".log"))) as api,
            client_of(api, signer, "alice") as first,
            client_of(other, signer, "alice") as second,
        ):
            kind, key = await world.type(deployments=2), fresh()
            repeats: list[httpx.Response] = []

            async def repeat() -> None:
                repeats.append(await second.post(f"/new/{kind}", headers=key))

            async with between.after(MADE_AT["the lease"], repeat):
                answer = await first.post(f"/new/{kind}", headers=key)
            assert answer.status_code == 200
            assert [i.public_id for i in await book.made(key)] == [answer.json()["id"]]
            assert [early.status_code for early in repeats] == [409]
            assert (await second.post(f"/new/{kind}", headers=key)).json() == answer.json()


@pytest.mark.parametrize(
    "seconds",
    [
        3600,
        *(
            pytest.param(
                seconds,
                marks=pytest.mark.release(
                    twin="tests/envtest/api/test_clocks.py::test_a_replica_with_a_wrong_clock_moves_nobody_in_the_queue"
                ),
            )
            for seconds in (3, -3)
        ),
    ],
)
async def test_a_replica_with_a_wrong_clock_moves_nobody_in_the_queue(
    seconds: int, setting: Setting, world: World, signer: Signer, api: Api
) -> None:
    kind = await world.type(deployments=1)
    async with replica(setting, world, seconds) as wrong, client_of(api, signer, "holder") as holder:
        await made(holder, kind)
        places = {}
        for user, where in (("ann", wrong), ("ben", api), ("cat", wrong), ("dan", api)):
            async with client_of(where, signer, user) as client:
                answer = (await client.post(f"/new/{kind}", json={"reserve": True})).json()
                assert answer["success"] is False
                places[user] = answer["id"]
        async with user_client(api, signer.token("root", su=True)) as root:
            found = (await root.get("/reservations")).json()["reservations"]
        mine = {place["id"]: place["position"] for place in found if place["id"] in places.values()}
        assert [mine[places[user]] for user in ("ann", "ben", "cat", "dan")] == [1, 2, 3, 4]
        times = [named for id_ in places.values() if (named := ids.time_of(id_)) is not None]
        assert len(times) == len(places)
        assert max(times) - min(times) < timedelta(seconds=30), "ids are of the store's time, too"
        assert abs(datetime.now(UTC) - times[0]) < timedelta(seconds=30)
        for reservation in places.values():
            await world.client.delete(Reservation.api(), world.namespaces.workspaces, reservation)


@pytest.mark.release(
    twin="tests/envtest/api/test_clocks.py::test_a_replica_with_a_wrong_clock_moves_nobody_in_the_queue"
)
async def test_pings_and_ends_of_a_replica_that_is_slow_are_those_of_the_cluster(
    setting: Setting, world: World, signer: Signer
) -> None:
    async with replica(setting, world, -40) as slow, client_of(slow, signer, "alice") as alice:
        instance = await made(alice, await world.type(deployments=1), keepalive=True, expire_d=100)
        since = await world.make_ready(instance, lasts=100)
        assert (await alice.post(f"/instance/{instance}/ka")).status_code == 200
        name = names.keep_alive_lease(instance)
        renewed = (await world.client.get(LEASES, world.namespaces.workspaces, name))["spec"]["renewTime"]
        assert abs((datetime.now(UTC) - parse_time(renewed)).total_seconds()) < promised(2.5)
        extended = await alice.post(f"/instance/{instance}/extend", json={"expire_d": 120})
        assert extended.status_code == 200
        wanted = (await world.instance_resource(instance)).spec.expire_after
        passed = (datetime.now(UTC) - since).total_seconds()
        assert wanted == pytest.approx(120 + passed, abs=promised(3))


async def test_a_replica_that_cannot_know_the_time_makes_nothing_and_serves_the_rest(
    setting: Setting, world: World, signer: Signer, api: Api
) -> None:
    kind = await world.type(deployments=3)
    async with client_of(api, signer, "alice") as elsewhere:
        instance = await made(elsewhere, kind, keepalive=True)
    async with timeless(setting) as (between, lost), client_of(lost, signer, "alice") as alice:
        await eventually(lambda: _misses_only_the_time(lost))
        for path, body in (
            (f"/new/{kind}", {}),
            (f"/new/{kind}", {"reserve": True}),
            ("/ci/new", {"repo_url": ci.URL}),
            (f"/instance/{instance}/extend", {"expire_d": 3600}),
        ):
            refused = await alice.post(path, json=body)
            assert (refused.status_code, refused.json()["error_message"]) == (503, UNKNOWN), path
            assert int(refused.headers["Retry-After"]) >= 1
        keyed = await alice.post(f"/firewall/{instance}", headers=fresh())
        assert (keyed.status_code, keyed.json()["error_message"]) == (503, UNKNOWN)
        assert instance in (await alice.get("/instances")).json()["workspace_instances"]
        assert (await alice.get(f"/instance/{instance}")).status_code == 200
        assert (await alice.post(f"/instance/{instance}/ka")).status_code == 200
        assert (await alice.post(f"/terminate/{instance}", headers=fresh())).status_code == 200
        assert (await world.instance_resource(instance)).spec.terminate
        assert await _holders(world, kind) == [instance]
        between.date = None
        await asyncio.to_thread(process.wait_for, f"{lost.url}/readyz", lost.process, lost.log)
        assert (await alice.post(f"/new/{kind}")).status_code == 200


async def _holders(world: World, kind: str) -> list[str]:
    """Instances that have a deployment of a type."""
    found, _ = await world.client.list(WorkspaceDeployment.api(), world.namespaces.workspaces)
    leases = (wd.status.lease for wd in map(WorkspaceDeployment.parse, found) if wd.spec.type == kind)
    return [lease.instance for lease in leases if lease is not None]


async def _misses_only_the_time(lost: Api) -> bool:
    async with httpx.AsyncClient(base_url=lost.url) as client:
        answer = await client.get("/readyz")
    return answer.status_code == 503 and answer.json()["missing"] == ["the cluster's time"]


@contextlib.asynccontextmanager
async def timeless(setting: Setting) -> AsyncIterator[tuple[Gateway, Api]]:
    """A replica whose cluster tells no time that can be read."""
    async with gateway(setting.server.kubeconfig) as between:
        between.date = "no time"
        kubeconfig = between.kubeconfig(setting.kubeconfig, setting.folder / "timeless.kubeconfig")
        settings = setting.environment(KUBECONFIG=str(kubeconfig))
        running = process.running(settings, kubeconfig.with_suffix(".log"), until="/healthz")
        async with process.in_thread(running) as lost:
            yield between, lost


async def test_the_record_of_a_process_that_stood_still_is_not_older_than_it_is(setting: Setting, world: World) -> None:
    """A hypervisor may stop a machine with all its clocks: the first answer tells it."""
    stood = [0.0]
    async with connected("tests", str(setting.server.kubeconfig)) as client:
        client.clock = StoreClock(lambda: clock.steady() - stood[0], lambda: time.time() - stood[0])
        await client.server_date()
        stood[0] = 120.0
        step, held = await Records(client, world.namespaces.access).begin(ids.uuid7(0), "print")
    assert step is None
    assert held.record.started >= held.created >= time.time() - 60
