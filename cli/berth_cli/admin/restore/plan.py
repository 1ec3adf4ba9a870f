"""Plan after the restore of a backup without status: instances to end, epochs of deployments, waiters. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from berth_core import ids, names, state
from berth_core.kube.conditions import condition, is_true, merged
from berth_core.kube.model import parse_time, timestamp
from berth_core.kube.types import Object
from berth_core.leases.epochs import HIGHEST, Trace, traces
from berth_core.queue import order
from berth_core.reading import at
from berth_core.resources import Instance, Reservation, Resource, WorkspaceDeployment
from berth_core.resources.base import ObjectMeta, Queued
from berth_core.resources.workspacedeployment import HeldLease

REASON: Final = "Berth's resources were restored from a backup; the instance's workspace was lost"
NOBODY: Final = "(unknown)"
"""User of a lease where no Instance tells it."""


@dataclass(frozen=True)
class Found:
    """Existing objects."""

    instances: Sequence[Instance]
    deployments: Sequence[WorkspaceDeployment]
    reservations: Sequence[Reservation]
    opened: Sequence[Object]
    """Pods, Services, Secrets and Jobs of leases, or kept warm; their metadata suffices."""
    unreadable: Sequence[Object] = ()
    """Instances and Reservations that cannot be read; the epochs in them count."""


@dataclass(frozen=True)
class Step:
    """One step. Without ``writes`` it is left to people."""

    target: Resource
    what: str
    writes: tuple[Object, ...] = ()
    """Merge patches of the target's status, one after the other, the first at the version that was read."""

    @property
    def name(self) -> str:
        """Kind and name, as kubectl has them."""
        return f"{self.target.SHORT}/{self.target.metadata.name}"


def plan(objects: Found, above: int, now: datetime) -> list[Step]:
    """Return all steps; none when nothing is left to do, so that it can be repeated.

    ``above`` is an epoch known from elsewhere; 0 for none.
    """
    steps = [_end(instance, now) for instance in objects.instances if _runs(instance)]
    floors, left = epochs(objects), traces(objects.opened)
    # Warm things do not tell who had them, if anybody: a deployment that begins anew waits for their end (ADR 0023).
    unknown = {one.deployment for one in left if not one.instance}
    remains = _last(one for one in left if one.deployment not in unknown)
    users = {instance.public_id: instance.spec.user for instance in objects.instances}
    for wd in objects.deployments:
        name = wd.metadata.name
        floor = max(floors[name], above)
        if wd.status.lease is not None:
            if floor > wd.status.epoch:
                steps.append(_renew(wd, floor, remains.get(name), users, now))
        elif name in remains:
            steps.append(_hold(wd, floor, remains[name], users, now))
        elif floor > wd.status.epoch:
            steps.append(Step(wd, _next(wd, floor + 1), ({"epoch": floor},)))
    return [*steps, *(_waits(waiter) for waiter in objects.reservations if not waiter.status.conditions)]


def place(metadata: ObjectMeta) -> Queued:
    """Return a reservation's former place in the queue: by the export's annotation, else by a name of the API's.

    It is never behind its present place: times in the backup cannot be later than the restore.
    """
    now = order.queued(metadata)
    since, _, version = metadata.annotations.get(names.QUEUED_ANNOTATION, "").partition(" ")
    name_time = ids.time_of(metadata.name)
    try:
        stored = Queued(since=timestamp(parse_time(since)), version=int(version))
    except ValueError:
        stored = (
            now if name_time is None else Queued(since=timestamp(name_time.replace(microsecond=0)), version=now.version)
        )
    return min(stored, now, key=lambda one: parse_time(one.since))


def epochs(objects: Found) -> dict[str, int]:
    """Return the highest epoch found anywhere, by the deployment's name."""
    highest: dict[str, int] = {}
    for name, epoch in _mentioned(objects):
        highest[name] = max(highest.get(name, 0), epoch)
    return highest


def _mentioned(objects: Found) -> Iterable[tuple[str, int]]:
    for wd in objects.deployments:
        yield wd.metadata.name, wd.status.epoch
    for instance in objects.instances:
        if claim := instance.spec.claim:
            yield claim.deployment, claim.epoch
        if instance.status.deployment and instance.status.epoch:
            yield instance.status.deployment, instance.status.epoch
    for reservation in objects.reservations:
        if grant := reservation.status.grant:
            yield grant.deployment, grant.epoch
    for one in traces(objects.opened):
        yield one.deployment, one.epoch
    for obj in objects.unreadable:
        for part in (("spec", "claim"), ("status",), ("status", "grant")):
            name, epoch = at(obj, *part, "deployment"), at(obj, *part, "epoch")
            if isinstance(name, str) and isinstance(epoch, int) and 0 < epoch <= HIGHEST:
                yield name, epoch


def _last(traces_: Iterable[Trace]) -> dict[str, Trace]:
    """Oldest remaining object of the last lease of each deployment, by its name."""
    last: dict[str, Trace] = {}
    for one in sorted(traces_, key=lambda one: (one.epoch, one.instance, one.created), reverse=True):
        former = last.setdefault(one.deployment, one)
        if (one.epoch, one.instance) == (former.epoch, former.instance):
            last[one.deployment] = one
    return last


def _runs(instance: Instance) -> bool:
    return instance.status.reason is None and not is_true(instance.status.conditions, state.ENDED)


def _end(instance: Instance, now: datetime) -> Step:
    """Write the end of an instance as the operator does; the operator goes on from there and removes the remains."""
    entries = [
        condition(kind, False, state.RESTORED, REASON, now=now, generation=instance.metadata.generation)
        for kind in (state.ENDED, state.READY)
    ]
    conditions = [one.wire() for one in merged(instance.status.conditions, entries)]
    status: Object = {"id": instance.public_id, "reason": state.RESTORED, "message": REASON, "address": None}
    return Step(instance, f"instance of {instance.spec.user} ends", (status | {"conditions": conditions},))


def _hold(wd: WorkspaceDeployment, floor: int, trace: Trace, users: Mapping[str, str], now: datetime) -> Step:
    """Give the lease to the last instance, under a new epoch, until the operator has seen that its remains are gone."""
    user, since = users.get(trace.instance, NOBODY), trace.created or timestamp(now)
    lease = HeldLease(instance=trace.instance, user=user, claimed_at=since, on_end=wd.ends)
    raised: tuple[Object, ...] = ({"epoch": floor},) if floor > wd.status.epoch else ()
    what = f"instance {trace.instance} of {user} has it until nothing of it is left; {_next(wd, floor + 2)}"
    return Step(wd, what, (*raised, {"epoch": floor + 1, "lease": lease.wire()}))


def _waits(reservation: Reservation) -> Step:
    queued = place(reservation.metadata)
    writes: tuple[Object, ...] = ({"queued": queued.wire()},) if reservation.status.queued is None else ()
    what = f"waits again, since {queued.since}: delete it if its turn had come before the backup"
    return Step(reservation, what, writes)


def _renew(wd: WorkspaceDeployment, floor: int, trace: Trace | None, users: Mapping[str, str], now: datetime) -> Step:
    """Give the lease to its holder, or to a later one, under a new epoch; it is given back in between."""
    given_back: Object = {"lease": None}
    if wd.status.lease is not None and wd.status.lease.on_end:
        given_back["settled"] = wd.status.epoch
    free = wd.model_copy(update={"status": wd.status.model_copy(update={"lease": None})})
    if trace is not None and trace.epoch > wd.status.epoch:
        step = _hold(free, floor, trace, users, now)
        return Step(wd, step.what, (given_back, *step.writes))
    held = wd.status.lease
    lease = held.model_copy(update={"on_end": wd.ends}).wire() if held is not None else None
    what = f"its holder keeps it until nothing of the lease is left; {_next(wd, floor + 2)}"
    return Step(wd, what, (given_back, {"epoch": floor}, {"epoch": floor + 1, "lease": lease}))


def _next(wd: WorkspaceDeployment, epoch: int) -> str:
    return f"next epoch {epoch} (was {wd.status.epoch + 1})"
