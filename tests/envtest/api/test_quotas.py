"""`limits.maxPerUser` over replicas and through deaths of a process; no operator runs here."""

import asyncio
import signal
import uuid
from collections import Counter
from datetime import UTC, datetime

import httpx
import pytest

from berth_core.leases import leasing
from berth_core.leases.availability import Lease
from berth_core.resources import Account

from .conftest import Setting, user_client
from .gateway import gateway
from .process import Api, in_thread, running
from .signing import Signer
from .world import World

pytestmark = pytest.mark.apiserver

REQUESTS = 32


async def give_back(world: World, instance: str) -> None:
    """End the lease of an instance in the operator's place."""
    claim = (await world.instance_resource(instance)).spec.claim
    assert claim is not None
    lease = Lease(claim.deployment, claim.epoch)
    await leasing.give_back(
        world.client, world.namespaces.workspaces, lease, instance=instance, completed=True, now=datetime.now(UTC)
    )


@pytest.mark.release(twin="tests/envtest/core/test_slots.py")
@pytest.mark.alone
async def test_of_32_requests_over_two_replicas_exactly_as_many_as_may_are_granted(
    world: World, api: Api, second: Api, signer: Signer
) -> None:
    kind = await world.type(deployments=8, limits={"maxPerUser": 3})
    token = signer.token(f"user-{uuid.uuid4()}")
    async with user_client(api, token) as one, user_client(second, token) as other:
        answers = await asyncio.gather(*((one, other)[n % 2].post(f"/new/{kind}") for n in range(REQUESTS)))
        assert Counter(answer.status_code for answer in answers) == {200: 3, 403: REQUESTS - 3}
        granted = [answer.json()["id"] for answer in answers if answer.status_code == 200]
        refused = next(answer for answer in answers if answer.status_code == 403)
        assert refused.json()["error"] == "no more than 3 active instances of this type for one user"
        # An ended lease makes place for one, and no more.
        await give_back(world, granted[0])
        again = await asyncio.gather(*((one, other)[n % 2].post(f"/new/{kind}") for n in range(4)))
        assert Counter(answer.status_code for answer in again) == {200: 1, 403: 3}


async def test_who_may_have_it_gets_it_though_others_who_may_not_ask_at_the_same_moment(
    world: World, api: Api, signer: Signer
) -> None:
    kind = await world.type(deployments=2, limits={"maxPerUser": 1})
    one, other = signer.token(f"user-{uuid.uuid4()}"), signer.token(f"user-{uuid.uuid4()}")
    async with user_client(api, one) as has_one, user_client(api, other) as has_none:
        assert (await has_one.post(f"/new/{kind}")).status_code == 200
        refused = [has_one.post(f"/new/{kind}") for _ in range(7)]
        *refusals, granted = await asyncio.gather(*refused, has_none.post(f"/new/{kind}"))
        assert granted.status_code == 200
        assert {answer.status_code for answer in refusals} <= {403, 503}


async def test_an_instance_that_is_ending_keeps_its_place_until_its_lease_is_given_back(
    world: World, api: Api, signer: Signer
) -> None:
    kind = await world.type(deployments=2, limits={"maxPerUser": 1})
    async with user_client(api, signer.token(f"user-{uuid.uuid4()}")) as client:
        instance = (await client.post(f"/new/{kind}")).json()["id"]
        assert (await client.post(f"/terminate/{instance}")).status_code == 200
        assert (await client.post(f"/new/{kind}")).status_code == 403
        await give_back(world, instance)
        assert (await client.post(f"/new/{kind}")).status_code == 200


async def test_a_process_that_dies_between_slot_and_lease_leaves_a_slot_and_nothing_else(
    setting: Setting, world: World, signer: Signer, api: Api
) -> None:
    kind = await world.type(deployments=2, limits={"maxPerUser": 1})
    user = f"user-{uuid.uuid4()}"
    token = signer.token(user)
    async with gateway(setting.server.kubeconfig) as between:
        kubeconfig = between.kubeconfig(setting.kubeconfig, setting.folder / f"{uuid.uuid4()}.kubeconfig")
        process = running(
            setting.environment(KUBECONFIG=str(kubeconfig)), kubeconfig.with_suffix(".log"), ends=-signal.SIGKILL
        )
        async with in_thread(process) as doomed, user_client(doomed, token) as client:

            async def kill() -> None:
                doomed.process.kill()
                await asyncio.to_thread(doomed.process.wait)

            def takes_a_slot(method: str, path: str) -> bool:
                return method == "PATCH" and "/accounts/" in path

            async with between.after(takes_a_slot, kill):
                with pytest.raises(httpx.TransportError):
                    await client.post(f"/new/{kind}")
    account = Account.parse(await world.client.get(Account.api(), world.namespaces.access, user))
    (slot,) = account.status.slots
    assert slot.type == kind
    async with user_client(api, token) as client:
        assert (await client.post(f"/new/{kind}")).status_code == 403
        free = await client.get(f"/deployments/{kind}?maxlen=0")
        assert len(free.json()["workspace_deployments"]) == 2
