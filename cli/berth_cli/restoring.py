"""After a backup without status was put back: which instances end, and with which epochs deployments begin. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from berth_core import names, state
from berth_core.client import Object
from berth_core.conditions import condition, is_true, merged
from berth_core.resources import Instance, Reservation, Resource, WorkspaceDeployment

HIGHEST: Final = 2**53
"""Beyond this no epoch is believed: some readers of JSON would round it."""
REASON: Final = "Berth's resources were restored from a backup; what it had was lost"


@dataclass(frozen=True)
class Found:
    """What is there."""

    instances: Sequence[Instance]
    deployments: Sequence[WorkspaceDeployment]
    reservations: Sequence[Reservation]
    opened: Sequence[Object]
    """Pods, Services and Secrets that leases made; their metadata suffices."""


@dataclass(frozen=True)
class Step:
    """One thing to do. Without ``status`` it is for people."""

    target: Resource
    what: str
    status: Object | None = None
    """Merge patch of the target's status, at the version that was read."""

    @property
    def name(self) -> str:
        """Kind and name, as kubectl has them."""
        return f"{self.target.SHORT}/{self.target.metadata.name}"


def plan(found: Found, above: int, now: datetime) -> list[Step]:
    """Everything to do. With nothing left to do it is done, so that it can be repeated.

    ``above`` is an epoch that somebody knows of otherwise; 0 for none.
    """
    steps = [_end(instance, now) for instance in found.instances if _runs(instance)]
    floors = epochs(found)
    for wd in found.deployments:
        floor = max(floors.get(wd.metadata.name, 0), above)
        if floor <= wd.status.epoch:
            continue
        if lease := wd.status.lease:
            what = f"instance {lease.instance} has it with epoch {wd.status.epoch}: start Berth, and restore again"
            steps.append(Step(wd, f"{what} once it has ended, for epochs above {floor}"))
        else:
            steps.append(Step(wd, f"next epoch {floor + 1} (was {wd.status.epoch + 1})", {"epoch": floor}))
    what = "waits again: delete it if its turn had come before the backup"
    return [*steps, *(Step(waits, what) for waits in found.reservations if not waits.status.conditions)]


def epochs(found: Found) -> dict[str, int]:
    """Return the highest epoch that anything speaks of, by the deployment's name."""
    highest: dict[str, int] = {}
    for name, epoch in _mentioned(found):
        highest[name] = max(highest.get(name, 0), epoch)
    return highest


def _mentioned(found: Found) -> Iterable[tuple[str, int]]:
    for wd in found.deployments:
        yield wd.metadata.name, wd.status.epoch
    for instance in found.instances:
        if claim := instance.spec.claim:
            yield claim.deployment, claim.epoch
        if instance.status.deployment and instance.status.epoch:
            yield instance.status.deployment, instance.status.epoch
    for reservation in found.reservations:
        if grant := reservation.status.grant:
            yield grant.deployment, grant.epoch
    for obj in found.opened:
        labels = obj["metadata"].get("labels") or {}
        name, epoch = labels.get(names.DEPLOYMENT_LABEL), labels.get(names.EPOCH_LABEL, "")
        if name and epoch.isascii() and epoch.isdigit() and int(epoch) <= HIGHEST:
            yield name, int(epoch)


def _runs(instance: Instance) -> bool:
    return instance.status.reason is None and not is_true(instance.status.conditions, state.ENDED)


def _end(instance: Instance, now: datetime) -> Step:
    """What the operator writes when something ends; it goes on from there, and looks for what is left."""
    shown = [
        condition(kind, False, state.RESTORED, REASON, now=now, generation=instance.metadata.generation)
        for kind in (state.ENDED, state.READY)
    ]
    conditions = [one.wire() for one in merged(instance.status.conditions, shown)]
    status: Object = {"id": instance.public_id, "reason": state.RESTORED, "message": REASON, "address": None}
    return Step(instance, f"instance of {instance.spec.user} ends", status | {"conditions": conditions})
