"""Leases whose Instance does not come, or comes late (ADR 0021)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from forked import Process

from berth_core import ids, names
from berth_core.kube.errors import AlreadyExistsError
from berth_core.kube.types import Kind, Object
from berth_core.leases import leasing
from berth_core.leases.availability import Lease
from berth_dev.envtest.testing import looked_at

from ..api.gateway import Gateway, serving
from .lab import DELIVERIES, DEPLOYMENTS, INSTANCES, KEY, PODS, RESERVATIONS, SECRETS, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver

QUOTAS = Kind("v1", "resourcequotas")
MISSED_SECONDS = 45
"""In which an Instance that does not come was missed for 30 s, on a busy machine too."""
Held = Callable[[web.Request, bytes], bool]


class Holding(Gateway):
    """Holds the requests that match until they are let go."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        super().__init__(server, session)
        self.held: Held = lambda *_: False
        self.reached, self.let_go = asyncio.Event(), asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.held(request, await request.read()):
            self.reached.set()
            await self.let_go.wait()
        return await super().handle(request)


@asynccontextmanager
async def held_at(operators: Operators, folder: Path, held: Held) -> AsyncIterator[Holding]:
    """An operator whose requests of a sort are held."""
    async with serving(operators.kubeconfig, Holding) as gateway:
        gateway.held = held
        operators.start(KUBECONFIG=str(gateway.kubeconfig(operators.kubeconfig, folder / "held.kubeconfig")))
        yield gateway
        gateway.let_go.set()


async def taken(lab: Lab, deployment: str, instance: str, user: str = "ada") -> Lease:
    """Take a lease as the API does. Its clock is long behind, which is to have no say."""
    now = datetime.now(UTC) - timedelta(seconds=25)
    return await leasing.take(lab.client, lab.namespace, deployment, instance=instance, user=user, now=now)


async def comes(lab: Lab, lease: Lease, instance: str) -> None:
    """Make the Instance as the API does."""
    claim = {"deployment": lease.deployment, "epoch": lease.epoch}
    spec = {"user": "ada", "sshKeys": [KEY], "deployments": [lease.deployment], "claim": claim}
    await lab.create(INSTANCES, instance, spec, finalizers=[names.FENCE_FINALIZER])


def gives_up(request: web.Request, body: bytes) -> bool:
    """Whether it takes away what an Instance that is late needs: its name, or its lease."""
    takes_name = request.method == "POST" and request.path.endswith("/instances")
    gives_back = request.path.endswith("/workspacedeployments/one/status") and b'"lease":null' in body
    return takes_name or gives_back


@pytest.mark.release(
    twin="tests/sim/test_orphans.py::test_a_create_that_comes_when_its_lease_is_given_up_keeps_it_or_finds_its_name_taken"
)
async def test_an_instance_that_comes_while_its_lease_is_given_up_keeps_it(
    lab: Lab, operators: Operators, tmp_path: Path
) -> None:
    await lab.type()
    async with held_at(operators, tmp_path, gives_up) as gateway:
        await lab.deployment("one")
        instance = ids.uuid7(0)
        lease = await taken(lab, "one", instance)
        await asyncio.wait_for(gateway.reached.wait(), MISSED_SECONDS)
        await comes(lab, lease, instance)
        gateway.let_go.set()
        found = await lab.until(
            INSTANCES,
            instance,
            lambda o: condition(o, "Bound", "status") == "True" or (o.get("status") or {}).get("reason"),
        )
        assert found["status"].get("reason") is None
        await lab.until(PODS, names.instance_object(instance), bool)
        assert (await lab.lease("one") or {}).get("instance") == instance


@pytest.mark.release(
    twin="tests/sim/test_orphans.py::test_a_create_that_comes_when_its_lease_is_given_up_keeps_it_or_finds_its_name_taken"
)
async def test_the_name_of_an_instance_that_does_not_come_is_taken_before_its_lease_goes_back(
    lab: Lab, operator: Process
) -> None:
    await lab.type()
    await lab.deployment("one")
    instance = ids.uuid7(0)
    lease = await taken(lab, "one", instance)
    await lab.until(DEPLOYMENTS, "one", lambda o: "lease" not in o["status"], seconds=MISSED_SECONDS)
    with pytest.raises(AlreadyExistsError):
        await comes(lab, lease, instance)
    tombstone = await lab.until(INSTANCES, instance, lambda o: condition(o, "Ended", "status") == "True")
    assert tombstone["status"]["reason"] == "NeverMade"
    assert tombstone["spec"]["user"] == "ada"
    assert "startTime" not in tombstone["status"]
    free = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")
    assert (free["status"]["epoch"], free["status"].get("instances", 0)) == (1, 0)
    assert operator.poll() is None


async def test_a_lease_waits_for_its_instance_from_when_the_operator_saw_it_not_from_when_it_says(
    lab: Lab, operators: Operators
) -> None:
    """The clock of who took it may be wrong by any time."""
    await lab.type()
    operators.start()
    await lab.deployment("one")
    await lab.deployment("two")
    instance = ids.uuid7(0)
    past = datetime.now(UTC) - timedelta(hours=1)
    await leasing.take(lab.client, lab.namespace, "one", instance=instance, user="ada", now=past)
    # A change that is processed at once shows that the pass over the deployment is done.
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"lockout": True}})
    looked = await lab.until(
        DEPLOYMENTS, "one", lambda o: o["status"].get("observedGeneration") == o["metadata"]["generation"]
    )
    assert looked["status"]["lease"]["instance"] == instance
    assert await lab.absent(INSTANCES, instance)


async def test_a_lease_of_an_instance_that_was_deleted_before_it_was_bound_goes_back_at_once(
    lab: Lab, operators: Operators, tmp_path: Path
) -> None:
    def binds(request: web.Request, _: bytes) -> bool:
        return request.method == "PATCH" and request.path.endswith("/instances/mine")

    await lab.type()
    async with held_at(operators, tmp_path, binds) as gateway:
        await lab.deployment("one")
        await lab.instance("mine", workspaceType="bench")
        await asyncio.wait_for(gateway.reached.wait(), 20)
        assert await lab.lease("one") is not None
        await lab.client.delete(INSTANCES, lab.namespace, "mine")
        await lab.until_gone(INSTANCES, "mine")
        gateway.let_go.set()
        await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free", seconds=20)
        left, _ = await lab.client.list(SECRETS, lab.namespace, labels={names.EPOCH_LABEL: "1"})
        assert left == []


async def test_a_lease_that_is_refused_its_instance_is_held_until_the_warm_pod_of_its_epoch_is_gone(
    lab: Lab, operator: Process
) -> None:
    await lab.type(warm=True)
    await lab.deployment("one")
    warm = names.warm_object(ids.deployment_id(lab.namespace, "one"), 1)
    await lab.until(PODS, warm, bool, seconds=20)
    stays = {"metadata": {"finalizers": [names.FENCE_FINALIZER, "berth.test/it-still-runs"]}}
    await lab.client.patch(PODS, lab.namespace, warm, stays)
    await lab.reservation("broken", workspaceType="bench", wish={"requesterAddress": "nonsense"})
    await lab.until(RESERVATIONS, "broken", lambda o: condition(o, "Fulfilled") == "InstanceRefused", seconds=20)
    await lab.until(PODS, warm, lambda o: o["metadata"].get("deletionTimestamp"))
    assert await lab.lease("one") is not None
    await lab.client.patch(PODS, lab.namespace, warm, {"metadata": {"finalizers": None}})
    free = await lab.until(DEPLOYMENTS, "one", lambda o: "lease" not in o["status"], seconds=20)
    assert free["status"]["epoch"] == 1
    assert operator.poll() is None


async def test_a_turn_whose_instance_a_quota_refuses_keeps_no_machine(lab: Lab, operator: Process) -> None:
    await lab.type()
    await lab.deployment("one")
    none = {"count/instances.berth.dev": "0"}
    quota = {"metadata": {"name": "none"}, "spec": {"hard": none}}
    await lab.client.create(QUOTAS, lab.namespace, quota)
    await lab.status_patch(QUOTAS, "none", {"hard": none, "used": none})
    made = await lab.reservation("mine", workspaceType="bench", eventUrl="https://lab.example.test/turn")
    shown = await lab.until(RESERVATIONS, "mine", lambda o: condition(o, "Fulfilled") == "InstanceRefused", seconds=60)
    assert "exceeded quota" in str(condition(shown, "Fulfilled", "message"))
    await lab.until(DEPLOYMENTS, "one", lambda o: "lease" not in o["status"], seconds=60)
    assert await lab.absent(INSTANCES, ids.turn_instance(made["metadata"]["uid"]))
    assert await told_of(lab) == []
    assert operator.poll() is None


async def test_a_quota_that_is_raised_in_time_ends_no_turn(lab: Lab, operator: Process) -> None:
    await lab.type()
    await lab.deployment("one")
    none = {"count/instances.berth.dev": "0"}
    await lab.client.create(QUOTAS, lab.namespace, {"metadata": {"name": "none"}, "spec": {"hard": none}})
    await lab.status_patch(QUOTAS, "none", {"hard": none, "used": none})
    await lab.reservation("mine", workspaceType="bench")
    await lab.until(RESERVATIONS, "mine", lambda o: (o.get("status") or {}).get("grant"), seconds=20)
    await lab.client.delete(QUOTAS, lab.namespace, "none")
    await lab.until(RESERVATIONS, "mine", lambda o: condition(o, "Fulfilled", "status") == "True", seconds=30)
    assert operator.poll() is None


async def test_a_turn_whose_instance_never_came_is_told_to_nobody(lab: Lab, operators: Operators) -> None:
    await lab.type()
    await looked_at(lab.client, await lab.create(DEPLOYMENTS, "one", {"type": "bench"}))
    made = await lab.reservation("mine", workspaceType="bench", eventUrl="https://lab.example.test/turn")
    instance = ids.turn_instance(made["metadata"]["uid"])
    lease = await leasing.take(lab.client, lab.namespace, "one", instance=instance, user="ada", now=datetime.now(UTC))
    grant: Object = {"deployment": "one", "epoch": lease.epoch, "instance": instance}
    await lab.status_patch(RESERVATIONS, "mine", {"grant": grant})
    claim = {"deployment": "one", "epoch": lease.epoch}
    spec = {"user": "ada", "deployments": ["one"], "claim": claim, "terminate": True}
    await lab.create(
        INSTANCES, instance, spec, labels={names.NEVER_MADE_LABEL: "true"}, finalizers=[names.FENCE_FINALIZER]
    )
    operators.start()
    await lab.until(RESERVATIONS, "mine", lambda o: condition(o, "Fulfilled") == "LeaseLost", seconds=30)
    await lab.until(DEPLOYMENTS, "one", lambda o: "lease" not in o["status"], seconds=20)
    assert await told_of(lab) == []


async def told_of(lab: Lab) -> list[Object]:
    found, _ = await lab.client.list(DELIVERIES, lab.namespace)
    return found
