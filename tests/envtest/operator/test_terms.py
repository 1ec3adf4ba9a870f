"""The claim to lead, against a real API server: its term, and what ends it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from promised import promised

from berth_core.kube.client import Client
from berth_core.kube.types import Kind, Object
from berth_core.leases.protocol import LEADER
from berth_operator.errors import NotLeaderError
from berth_operator.leadership.leading import RENEW_SECONDS, Leadership

from .lab import LEASES, Lab

pytestmark = pytest.mark.apiserver


@asynccontextmanager
async def leading(lab: Lab, identity: str, over: asyncio.Event | None = None) -> AsyncIterator[Leadership]:
    """One that leads, until ``over`` is set; it gives the Lease up at the end."""
    made, begun = Leadership(lab.namespaces.release, identity), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            if over is not None:
                over.set()

    running = asyncio.create_task(made.run(lab.client, work))
    try:
        await asyncio.wait_for(begun.wait(), 20)
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def taken_by(client: Client, namespace: str, holder: str) -> None:
    await client.patch(LEASES, namespace, LEADER, {"spec": {"holderIdentity": holder}})


async def test_each_term_is_greater_than_the_last_though_the_lease_was_deleted(lab: Lab) -> None:
    terms = []
    for number in range(3):
        async with leading(lab, f"replica-{number}") as leader:
            terms.append(leader.term)
        if number:
            await lab.client.delete(LEASES, lab.namespaces.release, LEADER)
    assert terms == sorted(set(terms))


async def test_one_that_asks_whether_it_leads_stops_where_another_does(lab: Lab) -> None:
    async with leading(lab, "first") as leader:
        await leader.confirm()
        assert leader.held
        await taken_by(lab.client, lab.namespaces.release, "second")
        with pytest.raises(NotLeaderError):
            await leader.confirm()
        with pytest.raises(NotLeaderError):
            leader.check()


async def renewed(lab: Lab) -> None:
    """Wait for the next renewal."""
    first = (await lab.client.get(LEASES, lab.namespaces.release, LEADER))["spec"]["renewTime"]
    await lab.until(LEASES, LEADER, lambda lease: lease["spec"]["renewTime"] != first, namespace=lab.namespaces.release)


@pytest.mark.alone
async def test_a_refused_renewal_ends_it_at_once_where_another_leads(lab: Lab) -> None:
    over = asyncio.Event()
    async with leading(lab, "first", over):
        await renewed(lab)
        taken = time.monotonic()
        await taken_by(lab.client, lab.namespaces.release, "second")
        await asyncio.wait_for(over.wait(), 10)
        assert time.monotonic() - taken < min(promised(1.6), 1.9) * RENEW_SECONDS, "not only at the renewal after that"


async def test_a_refused_renewal_ends_nothing_where_nobody_else_leads(lab: Lab) -> None:
    async with leading(lab, "first") as leader:
        for count in range(3):
            await lab.client.patch(LEASES, lab.namespaces.release, LEADER, {"metadata": {"labels": {"n": str(count)}}})
            await renewed(lab)
            assert leader.held


async def test_one_that_is_cancelled_before_it_knows_that_it_leads_gives_the_lease_up(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, written, answered = lab.client.create, asyncio.Event(), asyncio.Event()

    async def create_late(*arguments: Any) -> Object:
        answer = await create(*arguments)
        written.set()
        await answered.wait()
        return answer

    async def work() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(lab.client, "create", create_late)
    running = asyncio.create_task(Leadership(lab.namespaces.release, "first").run(lab.client, work))
    await asyncio.wait_for(written.wait(), 20)
    running.cancel()
    answered.set()
    await asyncio.gather(running, return_exceptions=True)
    assert not (await lab.client.get(LEASES, lab.namespaces.release, LEADER))["spec"]["holderIdentity"]


async def test_a_renewal_that_comes_while_it_gives_up_keeps_nothing_back(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one would that was sent before the end: between the read of the lease and the write that gives it up."""
    patch, late = lab.client.patch, 0

    async def patch_late(kind: Kind, namespace: str | None, name: str, body: Object, **more: Any) -> Object:
        nonlocal late
        if body["spec"].get("holderIdentity") == "" and not late:
            late += 1
            await patch(LEASES, lab.namespaces.release, LEADER, {"metadata": {"labels": {"renewed": "late"}}})
        return await patch(kind, namespace, name, body, **more)

    async with leading(lab, "first"):
        monkeypatch.setattr(lab.client, "patch", patch_late)
    assert late == 1
    assert not (await lab.client.get(LEASES, lab.namespaces.release, LEADER))["spec"]["holderIdentity"]


@pytest.mark.release(twin="tests/sim/test_pauses.py")
async def test_work_that_another_leader_ended_is_begun_anew_once_nobody_leads(lab: Lab) -> None:
    made, terms, again = Leadership(lab.namespaces.release, "first"), list[int](), asyncio.Event()

    async def work() -> None:
        terms.append(made.term)
        if len(terms) == 1:
            await taken_by(lab.client, lab.namespaces.release, "second")
            await made.confirm()
        again.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(made.run(lab.client, work))
    try:
        await asyncio.wait_for(again.wait(), 30)
        assert terms[0] < terms[1]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
