"""Asks the keeper for what the end of a lease takes. Every write is a compare-and-swap of the Relay."""

from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from berth_core import ids, names
from berth_core.kube.errors import AlreadyExistsError, ConflictError
from berth_core.kube.types import Object
from berth_core.leases.availability import Lease
from berth_core.machines.relays import NOTHING
from berth_core.resources import Relay, WorkspaceDeployment, manifest
from berth_core.resources.machines.addon import EndDeed
from berth_core.resources.machines.relay import RelayRequest, RelaySpec
from berth_operator.engine.world import World
from berth_operator.engine.writes import refresh
from berth_operator.kinds import RELAYS
from berth_operator.relays.decide import (
    Closing,
    Progress,
    Step,
    Terms,
    asked,
    closing,
    failure,
    is_final,
    progress,
    relay_spec,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Settled:
    """Outcome of some deeds of a lease's end: ``waits`` for which, in a sentence; ``failures`` of those given up."""

    waits: str = ""
    failures: tuple[str, ...] = ()


async def settle(world: World, wd: WorkspaceDeployment, lease: Lease, deeds: Iterable[EndDeed]) -> Settled:
    """Take the next step towards the end of a lease, by some of its deeds; ``wd`` has the lease.

    Safe to repeat: a deed that was done for the epoch is not asked for again.
    """
    waits, failures = list[str](), list[str]()
    for deed in deeds:
        step = await _advance(world, wd, lease, deed)
        if step.step is Step.FAILED:
            failures.append(failure(deed, step))
        elif step.step is not Step.DONE:
            waits.append(f"the keeper does {deed.do} by {deed.name}, as Relay {_name(wd, deed.name)} shows")
    return Settled("; ".join(waits), tuple(failures))


async def close(world: World, wd: WorkspaceDeployment, lease: Lease, deeds: Iterable[EndDeed]) -> bool:
    """See that no request of a lease's holder is attempted any more; whether that is so. Safe to repeat."""
    named, closed = {deed.name for deed in deeds}, True
    for known in relays_of(world, wd):
        seen, has_deed = known, known.spec.addon in named
        if not is_final(known, lease.epoch):
            # The holder may have asked for something of which no watch has told.
            await refresh(world, RELAYS, wd.metadata.namespace, known.metadata.name)
            seen = relay_of(world, wd.metadata.namespace, known.metadata.name) or known
        step = closing(seen, lease.epoch, world.now(), has_deed=has_deed)
        if step is Closing.CLOSE:
            request = asked(seen, lease.epoch, NOTHING, world.now(), end=False)
            step = closing(await _put(world, seen, request), lease.epoch, world.now(), has_deed=has_deed)
        closed = closed and step is Closing.CLOSED
    return closed


async def _advance(world: World, wd: WorkspaceDeployment, lease: Lease, deed: EndDeed) -> Progress:
    namespace, name = wd.metadata.namespace, _name(wd, deed.name)
    terms = Terms(world.config.keeper_patience, world.clock.trusted)
    seen = progress(relay_of(world, namespace, name), lease.epoch, world.now(), terms)
    if seen.step in (Step.ASK, Step.GIVE_UP, Step.DONE):
        # No request, and no belief, rests on anything older than now.
        await refresh(world, RELAYS, namespace, name)
        seen = progress(relay_of(world, namespace, name), lease.epoch, world.now(), terms)
    relay = relay_of(world, namespace, name)
    if seen.step is Step.ASK:
        await _ask(world, wd, deed, asked(relay, lease.epoch, deed.do, world.now()))
        log.info(
            "end of a lease asked for", deployment=lease.deployment, epoch=lease.epoch, addon=deed.name, do=deed.do
        )
    elif seen.step is Step.GIVE_UP and relay is not None:
        await _put(world, relay, asked(relay, lease.epoch, NOTHING, world.now()))
        log.warning("end of a lease given up", deployment=lease.deployment, epoch=lease.epoch, addon=deed.name)
        return Progress(Step.FAILED, seen.why)
    return seen


async def _ask(world: World, wd: WorkspaceDeployment, deed: EndDeed, request: RelayRequest) -> None:
    """Write the request. A Relay that somebody has deleted is made again with it."""
    namespace = wd.metadata.namespace
    relay = relay_of(world, namespace, _name(wd, deed.name))
    if relay is not None:
        await _put(world, relay, request)
        return
    spec = relay_spec(wd.metadata.name, deed, deed.do).model_copy(update={"request": request})
    await make(world, wd, spec)


async def make(world: World, wd: WorkspaceDeployment, spec: RelaySpec) -> None:
    """Make the Relay of an add-on. It goes with its deployment.

    Raises:
        berth_core.kube.errors.ConflictError: another one is there.

    """
    owner = {key: value for key, value in wd.reference().items() if key != "blockOwnerDeletion"}
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.DEPLOYMENT_LABEL: wd.metadata.name}
    body = manifest(Relay, wd.metadata.namespace, _name(wd, spec.addon), spec, labels=labels, ownerReferences=[owner])
    try:
        world.cache[RELAYS].put(await world.client.create(RELAYS, wd.metadata.namespace, body))
    except AlreadyExistsError as error:
        await refresh(world, RELAYS, wd.metadata.namespace, body["metadata"]["name"])
        raise ConflictError(error.message) from error


async def _put(world: World, relay: Relay, request: RelayRequest) -> Relay:
    metadata = relay.metadata
    body: Object = {
        "metadata": {"resourceVersion": metadata.resource_version},
        "spec": {"request": request.wire()},
    }
    try:
        live = await world.client.patch(RELAYS, metadata.namespace, metadata.name, body)
    except ConflictError:
        await refresh(world, RELAYS, metadata.namespace, metadata.name)
        raise
    world.cache[RELAYS].put(live)
    return Relay.parse(live)


def relays_of(world: World, wd: WorkspaceDeployment) -> list[Relay]:
    """Return the Relays of a deployment as last seen; one that cannot be read stops the pass."""
    namespace = wd.metadata.namespace
    return [Relay.parse(obj) for obj in world.cache[RELAYS].by("deployment", wd.metadata.name, namespace)]


def relay_of(world: World, namespace: str, name: str) -> Relay | None:
    """Return a Relay as last seen."""
    obj = world.cache[RELAYS].get(namespace, name)
    return Relay.parse(obj) if obj is not None else None


def _name(wd: WorkspaceDeployment, addon: str) -> str:
    return names.relay_object(ids.deployment_id(wd.metadata.namespace, wd.metadata.name), addon)
