"""Brings a machine to where the next holder can have it: by its relays and by its type's hooks, in their order.

Relays switch power on before the hooks, which need it. They switch it off after them, also where one has failed: a
machine without power is at rest. A failure puts the machine in quarantine, and so its lease can go back.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from berth_core import state
from berth_core.kube.conditions import Condition, find
from berth_core.leases.availability import QUARANTINED, Lease
from berth_core.resources import Instance, WorkspaceDeployment
from berth_core.resources.machines.addon import EndDeed
from berth_operator.engine.world import World
from berth_operator.engine.writes import write_status
from berth_operator.instances import status
from berth_operator.instances.hooks import run
from berth_operator.instances.hooks.decide import not_cleaning, quarantine
from berth_operator.relays.decide import LEASE_END_FAILED, SWITCHING, rests_after
from berth_operator.relays.requests import Settled, close, settle


async def clean(
    world: World, instance: Instance, leases: Sequence[Lease]
) -> Mapping[Lease, Sequence[Condition]] | None:
    """Take the next step; None while there is more to do. At the end: the conditions that each deployment gets.

    ``leases`` are all that the instance holds, read live. Each that owes something at its end has it done, also where
    the instance was never bound to it: somebody may have used the machine all the same, as before a restore.
    """
    own = Lease(instance.status.deployment or "", instance.status.epoch or 0)
    outcomes: dict[Lease, Sequence[Condition]] = {}
    for lease in leases:
        wd = world.deployment(instance.metadata.namespace, lease.deployment)
        deeds = owed(wd, lease)
        outcome = await _clean_one(world, instance, (lease, wd, deeds), hooks=lease == own)
        if outcome is None:
            return None
        outcomes[lease] = outcome
    return outcomes


def owed(wd: WorkspaceDeployment | None, lease: Lease) -> list[EndDeed]:
    """Return what the end of a live lease takes."""
    held = wd.status.lease if wd is not None and wd.status.epoch == lease.epoch else None
    return (held.on_end or []) if held is not None else []


async def settled(world: World, wd: WorkspaceDeployment, lease: Lease, instance: str) -> Sequence[Condition] | None:
    """Do the same for a lease without an Instance, which has no hooks."""
    deeds = owed(wd, lease)
    if not await close(world, wd, lease, deeds):
        return None
    result = await settle(world, wd, lease, deeds)
    if result.waits:
        return None
    return _outcome(lease, instance, result.failures, (), world.now()) if deeds else ()


async def _clean_one(
    world: World,
    instance: Instance,
    of: tuple[Lease, WorkspaceDeployment | None, list[EndDeed]],
    *,
    hooks: bool,
) -> Sequence[Condition] | None:
    lease, wd, deeds = of
    if wd is not None and not await close(world, wd, lease, deeds):
        return None
    if wd is None or not deeds:
        return await run.clean(world, instance, [lease]) if hooks else ()
    first = await settle(world, wd, lease, [one for one in deeds if not rests_after(one.do)])
    of_hooks: Sequence[Condition] = ()
    if hooks and not first.waits and not first.failures:
        outcome = await run.clean(world, instance, [lease])
        if outcome is None:
            return None
        of_hooks = outcome
    last = Settled() if first.waits else await settle(world, wd, lease, [one for one in deeds if rests_after(one.do)])
    failures = (*first.failures, *last.failures)
    if hooks and await _showed(world, instance, first.waits or last.waits, failures):
        return None
    if first.waits or last.waits:
        return None
    return _outcome(lease, instance.public_id, failures, of_hooks, world.now())


async def _showed(world: World, instance: Instance, waits: str, failures: Sequence[str]) -> bool:
    """Write down how far the relays are, where the status does not say so; whether that was needed."""
    if waits:
        verdict = (False, SWITCHING, waits)
    elif failures:
        verdict = (False, LEASE_END_FAILED, "; ".join(failures))
    else:
        verdict = (True, "Done", "its relays have done what their deployment says for the end of a lease")
    shown = find(instance.status.conditions, state.RESTED)
    if shown is not None and (shown.reason, shown.message) == verdict[1:]:
        return False
    await write_status(world, instance, instance.status, status.rested(instance, verdict, world.now()))
    return True


def _outcome(
    lease: Lease, instance: str, failures: Sequence[str], of_hooks: Sequence[Condition], now: datetime
) -> Sequence[Condition]:
    """Conditions of the deployment when its lease goes back: those that its hooks give it, and those of its relays."""
    if not failures:
        return [not_cleaning(now), *of_hooks]
    sentence = f"after instance {instance} (epoch {lease.epoch}) {'; '.join(failures)}"
    verdict, other = quarantine(lease.deployment, LEASE_END_FAILED, sentence, now), find(of_hooks, QUARANTINED)
    if other is not None:
        verdict = verdict.model_copy(update={"message": f"{sentence}; {other.message}"})
    return [not_cleaning(now), verdict]
