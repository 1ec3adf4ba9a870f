"""Histories while one of three etcd members or of two API servers is lost and comes back, and a store that is full.

The promises are those of test_histories.py. While the store is full nothing can be lent or given back: whoever
asks is told so, and once there is room everything goes on.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from berth_core.kube.errors import UnavailableError
from berth_core.kube.types import Kind

from ..envtest.operator.lab import KEY, Lab
from .ground import Ground, ground_in
from .histories import History, Step, unkilled
from .pauses import does_not_lead
from .plane import MEMBERS, SERVERS, Plane, plane_in
from .seeds import SEED
from .waiting import until

pytestmark = [pytest.mark.apiserver, pytest.mark.long, pytest.mark.release(twin="tests/sim/test_histories.py")]

RUNS = int(os.environ.get("FAULTS_RUNS") or 30)
ARENAS = 6
PIECE = "x" * 900_000
"""A ConfigMap may hold 1 MiB at most."""
LED_SECONDS = 60.0
CONFIG_MAPS = Kind("v1", "configmaps")


@dataclass(frozen=True)
class Loss:
    """A part of the control plane is killed after so many seconds, and started again so many seconds later."""

    part: str
    after: float
    seconds: float


def _loss_of(parts: tuple[str, ...]) -> st.SearchStrategy[Loss]:
    moments, lengths = st.sampled_from((0.0, 0.1, 0.3, 0.6)), st.sampled_from((0.5, 1.5, 4.0))
    return st.builds(Loss, part=st.sampled_from(parts), after=moments, seconds=lengths)


losses = st.one_of(
    st.tuples(_loss_of(MEMBERS)), st.tuples(_loss_of(SERVERS)), st.tuples(_loss_of(MEMBERS), _loss_of(SERVERS))
)


@dataclass
class Lossy:
    """A release on a control plane that loses parts."""

    plane: Plane = field(repr=False)
    ground: Ground = field(repr=False)
    lost: int = 0


@pytest_asyncio.fixture(scope="module")
async def lossy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lossy]:
    async with (
        plane_in(tmp_path_factory.mktemp("plane")) as plane,
        ground_in(plane.server, tmp_path_factory.mktemp("lossy") / "release", ARENAS) as ground,
    ):
        yield Lossy(plane, ground)


@pytest.mark.timeout(1800)
@seed(SEED)
@settings(
    max_examples=RUNS, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), print_blob=True
)
@given(history=unkilled, lost=losses)
async def test_nobody_shares_jumps_or_loses_anything(lossy: Lossy, history: History, lost: tuple[Loss, ...]) -> None:
    await lossy.ground.play(history, *(partial(lossy.plane.lost, loss.part, loss.after, loss.seconds) for loss in lost))
    lossy.lost += len(lost)


@pytest.mark.timeout(600)
async def test_all_is_given_back_in_the_end(lossy: Lossy) -> None:
    ground = lossy.ground
    await ground.settled(asyncio.ALL_COMPLETED)
    shown = f"{ground.played} histories, {lossy.lost} losses, {len(ground.watching.leases.taken)} leases"
    print(f"{shown}, {ground.turns} turns, {sum(map(len, ground.struck))} faults")  # noqa: T201 (a report)
    assert ground.played >= RUNS
    assert lossy.lost >= RUNS
    assert len(ground.watching.leases.taken) >= 2 * RUNS
    assert ground.turns >= RUNS // 2
    assert await ground.left() == []


@asynccontextmanager
async def full(plane: Plane, lab: Lab) -> AsyncIterator[None]:
    """A store that takes no more; it has room again afterwards."""
    try:
        await until(lambda: _is_filled(lab), "the store is full", LED_SECONDS)
        assert "NOSPACE" in await asyncio.to_thread(plane.etcdctl, "alarm", "list")
        yield
    finally:
        kubectl, etcdctl = plane.server.kubectl, plane.etcdctl
        await asyncio.to_thread(kubectl, "delete", "configmaps", "-n", lab.namespace, "-l", "filling")
        status = json.loads(await asyncio.to_thread(etcdctl, "endpoint", "status", "-w", "json"))
        revision = str(status[0]["Status"]["header"]["revision"])
        for words in (("compact", "--physical", revision), ("defrag",), ("alarm", "disarm")):
            await asyncio.to_thread(etcdctl, *words)


async def _is_filled(lab: Lab) -> bool:
    """Whether the store refuses one more piece."""
    metadata = {"generateName": "filling-", "labels": {"filling": ""}}
    piece = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"piece": PIECE}}
    try:
        await lab.client.create(CONFIG_MAPS, lab.namespace, piece)
    except UnavailableError as refused:
        return "space exceeded" in str(refused)
    return False


@pytest.mark.timeout(600)
async def test_a_full_store_lends_nothing_says_so_and_goes_on_once_there_is_room(lossy: Lossy) -> None:
    ground, plane = lossy.ground, lossy.plane
    release, arena = ground.release, await ground.arena()
    ada, bob, eve = arena.clients(ground.users, [api.url for api in release.apis])[:3]
    first, second = Step("ask", 1, 0, 0), Step("ask", 2, 1, 0)
    for proxy in ground.proxies.values():
        proxy.faults = None  # of the last history
    await until(lambda: ada.ask(first), "a returned machine is lent", LED_SECONDS)
    await until(lambda: bob.ask(first, reserve=True), "bob waits", LED_SECONDS)
    (instance,) = ada.instances
    async with full(plane, release.lab):
        asked = {
            "lend": eve.http.post(f"{eve.apis[0]}/new/{eve.targets[second.target]}", json={"sshkey": KEY}),
            "queue": eve.http.post(f"{eve.apis[1]}/new/{eve.targets[1]}", json={"sshkey": KEY, "reserve": True}),
            "end": ada.http.post(f"{ada.apis[0]}/terminate/{instance}"),
        }
        for what, asking in asked.items():
            answer = await asking
            assert (answer.status_code, "Retry-After" in answer.headers) == (503, True), f"{what}: {answer.text}"
        await until(
            lambda: does_not_lead(release.operators.ports[-1]), "the operator, which cannot renew, stops", LED_SECONDS
        )
        assert (await release.lab.lease(arena.deployments[0]) or {})["instance"] == instance
        assert await release.lab.lease(arena.deployments[1]) is None
    await ada.terminate(first)
    await until(lambda: eve.ask(second), "a free machine is lent again", LED_SECONDS)
    await until(lambda: bool(arena.queue.granted), "bob has a turn", LED_SECONDS)
    await arena.settle()
    assert await ground.left() == []
