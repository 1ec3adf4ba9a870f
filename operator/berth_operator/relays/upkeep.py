"""Keeps the Relays of a deployment like its add-ons, while nobody has the deployment."""

import structlog

from berth_core.kube.conditions import find
from berth_core.kube.types import Object
from berth_core.leases.availability import SAFE_STATE
from berth_core.resources import Relay, WorkspaceDeployment
from berth_operator.engine.world import World
from berth_operator.kinds import RELAYS
from berth_operator.relays.decide import Verdict, differs, relay_spec, safe_state
from berth_operator.relays.presence import Keeper
from berth_operator.relays.requests import make, relays_of

log = structlog.get_logger(__name__)


async def attend(world: World, wd: WorkspaceDeployment) -> Verdict | None:
    """Make missing Relays and delete others; return the condition SafeState, None where nothing is to be said.

    A change of an add-on counts from the next lease on. So the Relays of a lease stay as they are until its end.
    """
    relays = {relay.spec.addon: relay for relay in relays_of(world, wd)}
    if wd.status.lease is None and wd.metadata.deletion_timestamp is None:
        specs = {one.name: relay_spec(wd.metadata.name, one, one.on_lease_end) for one in wd.addons}
        for name, relay in list(relays.items()):
            if name not in specs or differs(relay, wd, specs[name]):
                await _delete(world, relay)
                del relays[name]
        for name, spec in specs.items():
            if name not in relays:
                await make(world, wd, spec)
                log.info("relay made", deployment=wd.metadata.name, addon=name)
    return safe_state(wd, relays, find(wd.status.conditions, SAFE_STATE), keeper=world.state(Keeper).is_there)


async def _delete(world: World, relay: Relay) -> None:
    metadata = relay.metadata
    await world.client.delete(RELAYS, metadata.namespace, metadata.name, uid=metadata.uid)
    obj: Object | None = world.cache[RELAYS].get(metadata.namespace, metadata.name)
    if obj is not None and obj["metadata"]["uid"] == metadata.uid:
        world.cache[RELAYS].remove(obj)
