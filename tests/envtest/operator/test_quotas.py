"""`limits.maxPerUser` for Instances made with kubectl, and slots whose taker is gone."""

import asyncio
from datetime import UTC, datetime

import pytest
from amount import but_first

from berth_core import ids
from berth_core.kube.types import Kind, Object
from berth_core.leases import leasing, slots
from berth_core.leases.availability import Lease
from berth_core.leases.leasing import BusyError
from berth_core.leases.slots import Claimant, NoneLeftError, Places, Quota
from berth_core.resources import Account

from .lab import DEPLOYMENTS, INSTANCES, RESERVATIONS, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver

GIVEN_BACK_SECONDS = slots.KEPT_SECONDS - 5


def places(lab: Lab) -> Places:
    return Places(lab.namespaces.access, (lab.namespace,))


async def unwanted(namespace: str, lease: Lease) -> None:
    raise AssertionError(f"the lease of {namespace}/{lease.deployment} was to be kept")


def claimant(lab: Lab, user: str = "ada") -> Claimant:
    return Claimant(lab.client, places(lab), instance="i-of-the-api", user=user, undo=unwanted)


async def until_bound(lab: Lab, name: str) -> None:
    """Wait for less time than a slot is kept whose taker is gone: those that end give theirs back."""
    await lab.until(INSTANCES, name, lambda o: condition(o, "Bound", "status") == "True", seconds=GIVEN_BACK_SECONDS)


async def until_passed_over(lab: Lab, name: str) -> None:
    await lab.until(INSTANCES, name, lambda o: "no more than" in (condition(o, "Bound", "message") or ""))


async def one_of_two_taken(lab: Lab, operators: Operators) -> None:
    """Have two deployments of a type that each user may have one of, the one held by ada."""
    operators.start()
    await lab.type(limits={"maxPerUser": 1})
    for name in ("one", "two"):
        await lab.deployment(name)
    await lab.instance("has", workspaceType="bench")
    await until_bound(lab, "has")


async def test_instances_made_with_kubectl_count_and_wait_for_their_place(lab: Lab, operators: Operators) -> None:
    operators.start()
    await lab.type(limits={"maxPerUser": 1})
    for name in ("one", "two", "three"):
        await lab.deployment(name)
    await lab.instance("first", workspaceType="bench")
    await until_bound(lab, "first")
    await lab.instance("second", workspaceType="bench")
    await until_passed_over(lab, "second")
    # Others have their turn, and what the operator took counts for the API.
    await lab.instance("of-bob", workspaceType="bench", user="bob")
    await until_bound(lab, "of-bob")
    async with claimant(lab) as taker:
        with pytest.raises(NoneLeftError):
            await taker.take(Quota("bench", 1), lab.namespace, "three", now=datetime.now(UTC))
    await lab.client.patch(INSTANCES, lab.namespace, "first", {"spec": {"terminate": True}})
    await until_bound(lab, "second")
    assert len(await slots.held(lab.client, places(lab), "bench", "ada")) == 1


async def test_a_reservation_of_one_who_has_enough_is_passed_over_until_he_has_less(
    lab: Lab, operators: Operators
) -> None:
    await one_of_two_taken(lab, operators)
    await lab.reservation("more", "ada", workspaceType="bench")
    await lab.until(RESERVATIONS, "more", lambda o: condition(o, "Waiting", "status") == "True")
    await lab.reservation("behind", "bob", workspaceType="bench")
    await lab.until(RESERVATIONS, "behind", lambda o: condition(o, "Fulfilled", "status") == "True")
    assert condition(await lab.get(RESERVATIONS, "more"), "Waiting", "status") == "True"
    await lab.client.patch(INSTANCES, lab.namespace, "has", {"spec": {"terminate": True}})
    await lab.until(
        RESERVATIONS, "more", lambda o: condition(o, "Fulfilled", "status") == "True", seconds=GIVEN_BACK_SECONDS
    )


async def waits(lab: Lab, kind: Kind, name: str, user: str = "ada") -> str:
    """Have somebody wait; the id of the instance to come."""
    if kind == RESERVATIONS:
        reservation = await lab.reservation(name, user, workspaceType="bench")
        return ids.turn_instance(reservation["metadata"]["uid"])
    made = await lab.get(INSTANCES, await lab.instance(name, workspaceType="bench", user=user))
    return ids.instance_id(name, made["metadata"]["uid"])


async def until_served(lab: Lab, kind: Kind, name: str) -> None:
    done = "Fulfilled" if kind == RESERVATIONS else "Bound"
    await lab.until(kind, name, lambda o: condition(o, done, "status") == "True", seconds=60)


async def take(lab: Lab, deployment: str, instance: str) -> Lease:
    """Take a lease for ada as a leader does that stood still until its slot was dropped."""
    return await leasing.take(
        lab.client, lab.namespace, deployment, instance=instance, user="ada", now=datetime.now(UTC)
    )


def returned(obj: Object) -> Lease | None:
    mark = (obj.get("status") or {}).get("returned")
    return Lease(mark["deployment"], mark["epoch"]) if mark else None


@pytest.mark.parametrize("kind", but_first(RESERVATIONS, INSTANCES), ids=lambda kind: kind.plural)
async def test_a_lease_that_a_former_leader_took_beyond_the_quota_goes_back_to_others(
    lab: Lab, operators: Operators, kind: Kind
) -> None:
    await one_of_two_taken(lab, operators)
    instance = await waits(lab, kind, "waits")
    free = "one" if await lab.lease("one") is None else "two"
    lease = await take(lab, free, instance)
    await waits(lab, kind, "of-bob", "bob")
    await until_served(lab, kind, "of-bob")
    assert (await lab.lease(free) or {}).get("user") == "bob"
    assert returned(await lab.get(kind, "waits")) == lease
    await lab.client.patch(INSTANCES, lab.namespace, "has", {"spec": {"terminate": True}})
    await until_served(lab, kind, "waits")


@pytest.mark.parametrize("kind", but_first(RESERVATIONS, INSTANCES), ids=lambda kind: kind.plural)
async def test_of_two_unused_leases_that_are_beyond_the_quota_together_one_is_used_in_the_end(
    lab: Lab, operators: Operators, kind: Kind
) -> None:
    await lab.type(limits={"maxPerUser": 1})
    operators.start()
    for name in ("one", "two"):
        await lab.deployment(name)
    operators.stop_all()
    for waiter, deployment in (("first", "one"), ("second", "two")):
        await take(lab, deployment, await waits(lab, kind, waiter))
    await waits(lab, kind, "of-bob", "bob")
    operators.start()
    await until_served(lab, kind, "of-bob")
    hers = [asyncio.create_task(until_served(lab, kind, waiter)) for waiter in ("first", "second")]
    served, others = await asyncio.wait(hers, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    await asyncio.gather(*served)
    assert len(await slots.held(lab.client, places(lab), "bench", "ada")) == 1


async def test_many_instances_at_once_get_as_many_leases_as_may_be(lab: Lab, operators: Operators) -> None:
    operators.start()
    await lab.type(limits={"maxPerUser": 3})
    for number in range(6):
        await lab.deployment(f"wd-{number}")
    names = [await lab.instance(f"many-{number}", workspaceType="bench") for number in range(8)]
    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(
                lab.until(
                    INSTANCES,
                    name,
                    lambda o: (
                        condition(o, "Bound", "status") == "True"
                        or "no more than" in (condition(o, "Bound", "message") or "")
                    ),
                )
            )
    assert len(await slots.held(lab.client, places(lab), "bench", "ada")) == 3


@pytest.mark.release(twin="tests/unit/operator/leases/test_slots.py")
async def test_a_slot_whose_taker_is_gone_is_dropped_and_the_one_who_waits_has_its_turn(
    lab: Lab, operators: Operators
) -> None:
    await lab.type(limits={"maxPerUser": 1})
    operators.start()
    for name in ("taken", "free"):
        await lab.deployment(name)
    await leasing.take(lab.client, lab.namespace, "taken", instance="i-bob", user="bob", now=datetime.now(UTC))
    with pytest.raises(BusyError):  # and dies
        await claimant(lab).take(Quota("bench", 1), lab.namespace, "taken", now=datetime.now(UTC))
    await lab.instance("waits", workspaceType="bench")
    await until_passed_over(lab, "waits")
    seconds = slots.KEPT_SECONDS + 15
    await lab.until(INSTANCES, "waits", lambda o: condition(o, "Bound", "status") == "True", seconds=seconds)
    await lab.until(
        Account.api(), "ada", lambda o: not o.get("status", {}).get("slots"), namespace=lab.namespaces.access
    )
    assert (await lab.lease("free") or {}).get("user") == "ada"
    assert await lab.get(DEPLOYMENTS, "free")
