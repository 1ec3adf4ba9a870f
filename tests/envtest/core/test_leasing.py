"""I1: a deployment has one holder at a time, however many writers there are."""

import asyncio
import random
from datetime import UTC, datetime

import pytest

from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_core.kube.errors import ConflictError, NotFoundError, UnavailableError
from berth_core.leases import leasing
from berth_core.leases.availability import Lease
from berth_core.leases.leasing import BusyError
from berth_core.resources import WorkspaceDeployment
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import looked_at

from .objects import create, patch

NOW = datetime(2026, 5, 1, tzinfo=UTC)
TAKERS = 64


async def deployment(client: Client, namespace: str) -> str:
    made = await looked_at(client, await create(client, namespace, WorkspaceDeployment))
    return str(made["metadata"]["name"])


async def read(client: Client, namespace: str, name: str) -> WorkspaceDeployment:
    return WorkspaceDeployment.parse(await client.get(WorkspaceDeployment.api(), namespace, name))


async def take(client: Client, namespace: str, name: str, who: str) -> Lease | BusyError:
    try:
        return await leasing.take(client, namespace, name, instance=f"i-{who}", user=who, now=NOW)
    except BusyError as busy:
        return busy


async def give_back(client: Client, namespace: str, lease: Lease, who: str, *, completed: bool = True) -> None:
    """Give back, again and again as the operator's queue does where others keep writing."""
    while True:
        try:
            return await leasing.give_back(client, namespace, lease, instance=f"i-{who}", completed=completed, now=NOW)
        except UnavailableError:
            continue


async def test_of_64_who_take_at_once_one_wins(apiserver: ApiServer, client: Client, namespace: str) -> None:
    name = await deployment(client, namespace)
    async with connected("other", str(apiserver.kubeconfig)) as other:
        answers = await asyncio.gather(
            *(take((client, other)[n % 2], namespace, name, f"user-{n}") for n in range(TAKERS))
        )
    won = [(n, answer) for n, answer in enumerate(answers) if isinstance(answer, Lease)]
    lost = [answer for answer in answers if isinstance(answer, BusyError)]
    assert len(won) == 1
    assert len(lost) == TAKERS - 1
    assert {answer.reason for answer in lost} == {"Leased"}
    status = (await read(client, namespace, name)).status
    assert status.epoch == won[0][1].epoch == 1
    assert status.lease is not None
    assert status.lease.user == f"user-{won[0][0]}"


async def test_taking_again_is_the_same_lease(client: Client, namespace: str) -> None:
    name = await deployment(client, namespace)
    first = await take(client, namespace, name, "alice")
    assert await take(client, namespace, name, "alice") == first == Lease(name, 1)


async def test_what_was_seen_before_somebody_took_it_gives_no_second_lease(client: Client, namespace: str) -> None:
    name = await deployment(client, namespace)
    seen = await read(client, namespace, name)
    first = await take(client, namespace, name, "alice")
    with pytest.raises(ConflictError):
        await leasing.take(client, namespace, name, instance="i-bob", user="bob", now=NOW, seen=seen)
    assert await take(client, namespace, name, "alice") == first == Lease(name, 1)


async def test_what_was_seen_before_somebody_wrote_is_to_be_decided_anew(client: Client, namespace: str) -> None:
    name = await deployment(client, namespace)
    seen = await read(client, namespace, name)
    await client.patch(WorkspaceDeployment.api(), namespace, name, {"status": {"instances": 7}}, subresource="status")
    with pytest.raises(ConflictError):
        await leasing.take(client, namespace, name, instance="i-bob", user="bob", now=NOW, seen=seen)
    seen = await read(client, namespace, name)
    lease = await leasing.take(client, namespace, name, instance="i-bob", user="bob", now=NOW, seen=seen)
    assert lease == Lease(name, 1)
    assert (await read(client, namespace, name)).status.instances == 7


async def test_what_was_judged_before_another_had_it_counts_no_more(client: Client, namespace: str) -> None:
    name = await deployment(client, namespace)
    between = await take(client, namespace, name, "alice")
    assert isinstance(between, Lease)
    await give_back(client, namespace, between, "alice")
    with pytest.raises(BusyError, match="somebody has had it since"):
        await leasing.take(client, namespace, name, instance="i-bob", user="bob", now=NOW, after=0)
    lease = await leasing.take(client, namespace, name, instance="i-bob", user="bob", now=NOW, after=1)
    assert await leasing.take(client, namespace, name, instance="i-bob", user="bob", now=NOW, after=1) == lease


async def test_giving_back_twice_counts_once(client: Client, namespace: str) -> None:
    name = await deployment(client, namespace)
    lease = await take(client, namespace, name, "alice")
    assert isinstance(lease, Lease)
    await asyncio.gather(*(give_back(client, namespace, lease, "alice") for _ in range(8)))
    status = (await read(client, namespace, name)).status
    assert (status.lease, status.epoch, status.instances) == (None, 1, 1)


async def test_an_old_lease_cannot_free_a_new_holder(client: Client, namespace: str) -> None:
    name = await deployment(client, namespace)
    old = await take(client, namespace, name, "alice")
    assert isinstance(old, Lease)
    await give_back(client, namespace, old, "alice", completed=False)
    await take(client, namespace, name, "bob")
    await give_back(client, namespace, old, "alice")
    await give_back(client, namespace, old, "bob")
    status = (await read(client, namespace, name)).status
    assert status.lease is not None
    assert (status.lease.user, status.epoch, status.instances) == ("bob", 2, 0)


async def test_the_notice_board_changes_in_the_same_write(client: Client, namespace: str) -> None:
    name = await deployment(client, namespace)
    lease = await take(client, namespace, name, "alice")
    assert isinstance(lease, Lease)
    held = (await read(client, namespace, name)).status.conditions
    await give_back(client, namespace, lease, "alice")
    free = (await read(client, namespace, name)).status.conditions
    assert [(c.type, c.status, c.reason) for c in held] == [("Available", "False", "Leased")]
    assert [(c.type, c.status, c.reason) for c in free] == [("Available", "True", "Free")]


@pytest.mark.parametrize(
    ("spec", "reason"), [({"lockout": True}, "Lockout"), ({"dissolved": "2026-04-01T00:00:00Z"}, "Dissolved")]
)
async def test_what_cannot_be_had_is_busy(client: Client, namespace: str, spec: dict[str, object], reason: str) -> None:
    name = await deployment(client, namespace)
    obj = await client.get(WorkspaceDeployment.api(), namespace, name)
    await patch(client, obj, WorkspaceDeployment, {"spec": spec})
    answer = await take(client, namespace, name, "alice")
    assert isinstance(answer, BusyError)
    assert answer.reason == reason


async def test_what_is_not_there(client: Client, namespace: str) -> None:
    with pytest.raises(NotFoundError):
        await take(client, namespace, "nothing", "alice")
    await give_back(client, namespace, Lease("nothing", 1), "alice")


async def test_what_the_operator_has_not_looked_at_cannot_be_had(client: Client, namespace: str) -> None:
    made = await create(client, namespace, WorkspaceDeployment)
    name = str(made["metadata"]["name"])
    answer = await take(client, namespace, name, "alice")
    assert isinstance(answer, BusyError)
    assert answer.reason == "New"
    await looked_at(client, made)
    assert await take(client, namespace, name, "alice") == Lease(name, 1)


async def test_what_is_being_deleted_stays_with_its_holder_and_goes_to_nobody_else(
    client: Client, namespace: str
) -> None:
    name = await deployment(client, namespace)
    lease = await take(client, namespace, name, "alice")
    assert isinstance(lease, Lease)
    await client.delete(WorkspaceDeployment.api(), namespace, name)
    assert await take(client, namespace, name, "alice") == lease
    await give_back(client, namespace, lease, "alice")
    answer = await take(client, namespace, name, "bob")
    assert isinstance(answer, BusyError)
    assert answer.reason == "Deleting"


async def test_the_status_of_others_survives(client: Client, namespace: str) -> None:
    made = await looked_at(client, await create(client, namespace, WorkspaceDeployment))
    online = {"type": "Online", "status": "True", "reason": "X", "lastTransitionTime": "2026-05-01T00:00:00Z"}
    await patch(client, made, WorkspaceDeployment, {"status": {"id": "one", "conditions": [online]}}, status=True)
    name = made["metadata"]["name"]
    await take(client, namespace, name, "alice")
    status = (await read(client, namespace, name)).status
    assert status.id == "one"
    assert [c.type for c in status.conditions] == ["Available", "Online"]


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_interleaving_epochs_have_one_holder_each(client: Client, namespace: str, seed: int) -> None:
    """People take, repeat, give back, give back again too late, while others write the same status."""
    name = await deployment(client, namespace)
    holders: dict[int, str] = {}
    rng = random.Random(seed)  # noqa: S311 (repeatable on purpose)

    async def person(who: str, turns: int) -> None:
        for _ in range(turns):
            try:
                answer = await take(client, namespace, name, who)
            except UnavailableError:  # others kept writing: as good as busy
                continue
            if isinstance(answer, BusyError):
                continue
            assert holders.setdefault(answer.epoch, who) == who
            for _ in range(rng.randrange(1, 3)):
                await give_back(client, namespace, answer, who)

    async def bystander() -> None:
        for turn in range(20):
            obj = await client.get(WorkspaceDeployment.api(), namespace, name)
            await patch(client, obj, WorkspaceDeployment, {"status": {"observedGeneration": turn}}, status=True)

    people = [person(f"user-{n}", rng.randrange(2, 6)) for n in range(12)]
    await asyncio.gather(*people, bystander())
    status = (await read(client, namespace, name)).status
    assert status.lease is None
    assert sorted(holders) == list(range(1, status.epoch + 1))
    assert status.instances == status.epoch


async def test_a_reader_of_the_watch_never_sees_two_holders(client: Client, namespace: str) -> None:
    name = await deployment(client, namespace)
    _, version = await client.list(WorkspaceDeployment.api(), namespace)
    rounds = 10

    async def turn(who: str) -> None:
        done = 0
        while done < rounds:
            try:
                answer = await take(client, namespace, name, who)
            except UnavailableError:
                continue
            if isinstance(answer, Lease):
                await give_back(client, namespace, answer, who)
                done += 1

    last = WorkspaceDeployment.parse(await client.get(WorkspaceDeployment.api(), namespace, name)).status
    people = asyncio.gather(*(turn(f"user-{n}") for n in range(4)))
    async for event in client.watch(WorkspaceDeployment.api(), namespace, version):
        if event.type == "BOOKMARK":
            continue
        seen = WorkspaceDeployment.parse(event.object).status
        if seen.lease is not None and last.lease is not None:
            assert seen.lease == last.lease
        assert seen.epoch - last.epoch == int(seen.lease is not None and last.lease is None)
        last = seen
        if seen.instances == 4 * rounds and seen.lease is None:
            break
    await people
    assert last.epoch == 4 * rounds
