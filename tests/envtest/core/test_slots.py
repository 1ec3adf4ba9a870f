"""`limits.maxPerUser` holds exactly, whoever takes leases at the same moment."""

import asyncio
from datetime import UTC, datetime
from itertools import count

import pytest
from amount import but_first

from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_core.kube.errors import NotFoundError, UnavailableError
from berth_core.leases import leasing, slots
from berth_core.leases.availability import Lease
from berth_core.leases.leasing import BusyError
from berth_core.leases.slots import Claimant, NoneLeftError, Places, Quota
from berth_core.resources import Account, WorkspaceDeployment
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces, looked_at

from .objects import create, manifest

pytestmark = pytest.mark.apiserver

NOW = datetime(2026, 5, 1, tzinfo=UTC)
TAKERS = 32
NUMBERS = count()


@pytest.fixture
def places(namespaces: Namespaces) -> Places:
    return Places(namespaces.access, (namespaces.workspaces,))


async def deployments(client: Client, places: Places, type_name: str, number: int) -> list[str]:
    """Make some of a type; their names."""
    made = (create(client, places.workspaces[0], WorkspaceDeployment, type=type_name) for _ in range(number))
    return [str((await looked_at(client, obj))["metadata"]["name"]) for obj in await asyncio.gather(*made)]


async def unwanted(namespace: str, lease: Lease) -> None:
    raise AssertionError(f"the lease of {namespace}/{lease.deployment} was to be kept")


def claimant(client: Client, places: Places, user: str = "alice") -> Claimant:
    return Claimant(client, places, instance=f"i-{next(NUMBERS)}", user=user, undo=unwanted)


async def take(taker: Claimant, quota: Quota | None, names: list[str], namespace: str) -> Lease | None:
    """Take the first that can be had, and drop the slot; None where the quota is full."""
    async with taker:
        for name in names:
            try:
                return await taker.take(quota, namespace, name, now=NOW)
            except BusyError:
                continue
            except NoneLeftError:
                return None
    raise AssertionError("all were busy")


async def slots_of(client: Client, places: Places, user: str = "alice") -> list[str]:
    account = Account.parse(await client.get(Account.api(), places.access, user))
    assert account.status.taking is (True if account.status.slots else None)
    return [slot.instance for slot in account.status.slots]


@pytest.mark.parametrize("most", but_first(3, 1, 8))
@pytest.mark.alone
async def test_of_32_who_take_at_once_as_many_as_may_have_a_lease(
    apiserver: ApiServer, client: Client, places: Places, most: int
) -> None:
    namespace, quota = places.workspaces[0], Quota("misty", most)
    names = await deployments(client, places, "misty", most + 5)
    async with connected("other", str(apiserver.kubeconfig)) as other:
        takers = [claimant((client, other)[n % 2], places) for n in range(TAKERS)]
        answers = await asyncio.gather(*(take(taker, quota, names, namespace) for taker in takers))
    won = [answer for answer in answers if answer is not None]
    assert len(won) == most
    assert len(await slots.held(client, places, "misty", "alice")) == most
    assert await slots_of(client, places) == []


async def test_a_lease_that_is_given_back_frees_its_place(client: Client, places: Places) -> None:
    namespace, quota = places.workspaces[0], Quota("misty", 1)
    names = await deployments(client, places, "misty", 2)
    first = await take(claimant(client, places), quota, names, namespace)
    assert first is not None
    assert await take(claimant(client, places), quota, names, namespace) is None
    (holder,) = await slots.held(client, places, "misty", "alice")
    await leasing.give_back(client, namespace, first, instance=holder, completed=True, now=NOW)
    assert await take(claimant(client, places), quota, names, namespace) is not None


async def test_other_users_other_types_and_the_same_instance_do_not_count(client: Client, places: Places) -> None:
    namespace, quota = places.workspaces[0], Quota("misty", 1)
    names, others = await deployments(client, places, "misty", 3), await deployments(client, places, "baxter", 1)
    taker = claimant(client, places)
    lease = await take(taker, quota, names, namespace)
    assert lease is not None
    assert await take(taker, quota, [lease.deployment], namespace) == lease
    assert await take(claimant(client, places, "bob"), quota, names, namespace) is not None
    assert await take(claimant(client, places), Quota("baxter", 1), others, namespace) is not None


async def test_without_a_quota_nothing_is_written_but_the_lease(client: Client, places: Places) -> None:
    names = await deployments(client, places, "misty", 1)
    assert await take(claimant(client, places), None, names, places.workspaces[0]) is not None
    with pytest.raises(NotFoundError):
        await client.get(Account.api(), places.access, "alice")


async def test_a_user_whose_name_no_object_can_have_and_one_with_an_account_have_quotas_too(
    client: Client, places: Places
) -> None:
    await client.create(Account.api(), places.access, manifest(Account, "carol", user="carol"))
    names = await deployments(client, places, "misty", 4)
    for user in ("carol", "oidc:Ada Lovelace"):
        taken = [
            await take(claimant(client, places, user), Quota("misty", 1), names, places.workspaces[0]) for _ in range(2)
        ]
        assert (taken[0] is None, taken[1] is None) == (False, True)


async def test_the_slot_of_a_taker_who_is_gone_counts_until_it_is_dropped(client: Client, places: Places) -> None:
    namespace, quota = places.workspaces[0], Quota("misty", 1)
    names = await deployments(client, places, "misty", 2)
    gone = claimant(client, places)
    await leasing.take(client, namespace, names[0], instance="i-bob", user="bob", now=NOW)
    with pytest.raises(BusyError):  # it has its slot, and no lease
        await gone.take(quota, namespace, names[0], now=NOW)
    (instance,) = await slots_of(client, places)
    with pytest.raises(NoneLeftError) as refused:
        await claimant(client, places).take(quota, namespace, names[1], now=NOW)
    assert refused.value.passing
    await slots.drop(client, places.access, "alice", frozenset({instance}))
    assert await take(claimant(client, places), quota, names, namespace) is not None


async def test_a_taker_who_was_paused_until_his_slot_was_dropped_does_not_keep_the_lease(
    client: Client, places: Places
) -> None:
    namespace, quota = places.workspaces[0], Quota("misty", 1)
    names = await deployments(client, places, "misty", 2)

    async def undo(where: str, lease: Lease) -> None:
        await leasing.give_back(client, where, lease, instance="i-paused", completed=False, now=NOW)

    paused = Claimant(client, places, instance="i-paused", user="alice", undo=undo)
    await leasing.take(client, namespace, names[0], instance="i-bob", user="bob", now=NOW)
    with pytest.raises(BusyError):
        await paused.take(quota, namespace, names[0], now=NOW)
    await slots.drop(client, places.access, "alice", frozenset({"i-paused"}))
    assert await take(claimant(client, places), quota, [names[1]], namespace) is not None
    await leasing.give_back(client, namespace, Lease(names[0], 1), instance="i-bob", completed=True, now=NOW)
    with pytest.raises(UnavailableError):  # its clock has shown nothing of the pause
        await paused.take(quota, namespace, names[0], now=NOW)
    assert len(await slots.held(client, places, "misty", "alice")) == 1
    await paused.close()
    assert await slots_of(client, places) == []


async def test_leases_in_another_namespace_count_too(client: Client, places: Places, namespaces: Namespaces) -> None:
    both = Places(places.access, (*places.workspaces, namespaces.release))
    await looked_at(client, await create(client, namespaces.release, WorkspaceDeployment, "elsewhere", type="misty"))
    names = await deployments(client, places, "misty", 1)
    assert await take(claimant(client, both), Quota("misty", 1), ["elsewhere"], namespaces.release) is not None
    assert await take(claimant(client, both), Quota("misty", 1), names, places.workspaces[0]) is None
