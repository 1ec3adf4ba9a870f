"""Power of an instance's machine: the holder's orders are requests of a Relay, which the keeper does."""

import asyncio
from datetime import datetime, timedelta
from typing import Final

from berth_api import lookups
from berth_api.auth import access
from berth_api.auth.access import Scope
from berth_api.auth.identity import Identity
from berth_api.cache.info import POWER
from berth_api.http.errors import INSTANCE_BUSY, BadRequestError, BusyError, MissingError
from berth_api.state import State
from berth_core import ids, names
from berth_core.kube import errors as cluster
from berth_core.kube.model import parse_time, timestamp
from berth_core.kube.swap import swap
from berth_core.kube.types import Object
from berth_core.machines.relays import NOTHING, is_done, verdict
from berth_core.resources import Instance, Relay
from berth_core.resources.machines.relay import RelayRequest
from berth_core.state import is_active

UNAVAILABLE: Final = "add-on not available"
INACTIVE: Final = "instance not active"
ANSWERED_WITHIN: Final = 5.0
"""Seconds after which a request is answered, whether the order was done or not."""
TRIED_FOR: Final = timedelta(seconds=60)
"""How long the keeper tries an order, and the next one is refused."""


async def show(state: State, identity: Identity, instance_id: str) -> tuple[Relay, int]:
    """Read the relay of an instance's machine, live, and the epoch of the lease.

    Raises MissingError where the machine has none, or the lease is over.
    """
    instance = await lookups.instance_for(state, identity, instance_id)
    if not is_active(instance):
        raise MissingError(UNAVAILABLE)
    return await _relay(state, instance)


async def order(state: State, identity: Identity, instance_id: str, do: str) -> tuple[Relay, int]:
    """Have the relay do something; return it when that was done, or after some seconds.

    Raises MissingError as :func:`show`, BadRequestError where no time is left, and BusyError while it cannot be worked
    or an order is under way.
    """
    access.need_instance(identity, instance_id)
    access.need_write(identity, Scope.CHANGE)
    now = await state.now()

    async def attempt() -> tuple[Relay, int]:
        instance = await lookups.instance_for(state, identity, instance_id)
        relay, epoch = await _relay(state, instance)
        # The relay was read first. An end that begins after this is a later version of the relay, which refuses ours.
        await _need_lease(state, identity, instance, now)
        return await _put(state, relay, _asked(relay, epoch, do, now)), epoch

    try:
        relay, epoch = await swap(attempt, f"the relay of instance {instance_id}")
    except cluster.InvalidError as error:
        raise BadRequestError(INACTIVE) from error
    except cluster.NotFoundError as error:
        raise MissingError(UNAVAILABLE) from error
    return await _done(state, relay), epoch


async def _relay(state: State, instance: Instance) -> tuple[Relay, int]:
    """Read the relay that the lease of a bound instance has."""
    machine, epoch = instance.status.machine, instance.status.epoch
    addons = machine.addons or [] if machine is not None else []
    addon = next((one for one in addons if one.kind == "relay" and one.name == POWER), None)
    if addon is None or epoch is None:
        raise MissingError(UNAVAILABLE)
    namespace, deployment = instance.metadata.namespace, instance.status.deployment or ""
    name = names.relay_object(ids.deployment_id(namespace, deployment), POWER)
    try:
        relay = Relay.parse(await state.client.get(Relay.api(), namespace, name))
    except cluster.NotFoundError as error:
        raise MissingError(UNAVAILABLE) from error
    if relay.spec.secret != addon.secret:
        raise MissingError(UNAVAILABLE)
    return relay, epoch


async def _need_lease(state: State, identity: Identity, instance: Instance, now: datetime) -> None:
    """Refuse a lease that ends, is over, or has no time left, by live reads."""
    live, deployment = await lookups.instance_and_deployment(state, identity, instance.public_id)
    access.need_active(live)
    end, held = live.status.expire_time, deployment.resource if deployment is not None else None
    lease = held.status.lease if held is not None else None
    if lease is None or held is None or (lease.instance, held.status.epoch) != (live.public_id, live.status.epoch):
        raise BadRequestError(INACTIVE)
    if end is not None and parse_time(end) <= now:
        raise BadRequestError(INACTIVE)


def _asked(relay: Relay, epoch: int, do: str, now: datetime) -> RelayRequest:
    """Return the next request. Raises BusyError, or BadRequestError where the end of the lease has begun."""
    before, usable = relay.spec.request, verdict(relay)
    if before is not None and (before.epoch > epoch or (before.epoch == epoch and before.end)):
        raise BadRequestError(INACTIVE)
    if usable is None or usable.status != "True" or _is_under_way(relay, now):
        raise BusyError(INSTANCE_BUSY)
    number = before.number + 1 if before is not None else 1
    return RelayRequest.model_validate({"epoch": epoch, "number": number, "do": do, "since": timestamp(now)})


def _is_under_way(relay: Relay, now: datetime) -> bool:
    request = relay.spec.request
    if request is None or request.do == NOTHING or is_done(relay):
        return False
    return now < parse_time(request.since) + TRIED_FOR


async def _put(state: State, relay: Relay, request: RelayRequest) -> Relay:
    metadata = relay.metadata
    body: Object = {"metadata": {"resourceVersion": metadata.resource_version}, "spec": {"request": request.wire()}}
    return Relay.parse(await state.client.patch(Relay.api(), metadata.namespace, metadata.name, body))


async def _done(state: State, relay: Relay) -> Relay:
    """Follow a relay until it has done what it was asked for, somebody asks for something else, or time is over."""
    metadata, asked = relay.metadata, relay.spec.request
    version, only = metadata.resource_version, {"metadata.name": metadata.name}
    try:
        async with asyncio.timeout(ANSWERED_WITHIN):
            while not is_done(relay) and relay.spec.request == asked:
                async for event in state.client.watch(Relay.api(), metadata.namespace, version, fields=only):
                    version = event.object["metadata"]["resourceVersion"]
                    if event.type == "DELETED":
                        return relay
                    if event.type != "BOOKMARK":
                        relay = Relay.parse(event.object)
                    if is_done(relay) or relay.spec.request != asked:
                        break
    except (TimeoutError, cluster.GoneError, cluster.UnavailableError):
        return relay
    return relay
