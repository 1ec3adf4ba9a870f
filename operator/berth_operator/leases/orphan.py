"""When a lease counts as one whose Instance does not come. Pure, but for what was seen before."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from berth_core import ids
from berth_core.resources import Instance, WorkspaceDeployment
from berth_operator.engine.world import TermState

PATIENCE_SECONDS: Final = 30.0
"""How long the Instance of a lease may take to come, from when this process has first missed it."""


class Orphan(NamedTuple):
    """A lease whose Instance is missing: uid of the deployment, epoch, public id of the instance."""

    deployment: str
    epoch: int
    instance: str


def orphan_of(wd: WorkspaceDeployment) -> Orphan | None:
    """Return a deployment's lease as an orphan, as if its Instance were missing; None where there is no lease."""
    lease = wd.status.lease
    return Orphan(wd.metadata.uid, wd.status.epoch, lease.instance) if lease is not None else None


def holder(wd: WorkspaceDeployment, instances: list[Instance]) -> Instance | None:
    """Return the instance that the lease is for, of those with its id: one that lives, and has no other deployment."""
    name = wd.metadata.name
    return next((i for i in living(instances) if (i.status.deployment or _claim_of(i) or name) == name), None)


def living(instances: list[Instance]) -> list[Instance]:
    """Instances that have not ended."""
    return [i for i in instances if i.status.end_time is None]


def patience(orphan: Orphan) -> float:
    """Seconds that its Instance may take to come; none for a uid, since what has it exists or never will."""
    return PATIENCE_SECONDS if ids.is_drawn(orphan.instance) else 0.0


@dataclass
class Sightings(TermState):
    """Since when this process misses Instances, in seconds on its monotonic clock: no other machine's has a say."""

    since: dict[str, tuple[Orphan, float]] = field(default_factory=dict)
    """By uid of the deployment."""

    def age(self, orphan: Orphan, now: float) -> float:
        """Seconds for which the Instance of that lease is missing; the first time is now."""
        sighting = self.since.get(orphan.deployment)
        if sighting is None or sighting[0] != orphan:
            sighting = self.since[orphan.deployment] = orphan, now
        return now - sighting[1]

    def backdate(self, orphan: Orphan, now: float) -> None:
        """Have the Instance count as missing for so long that nobody waits for it any more."""
        self.since[orphan.deployment] = orphan, now - PATIENCE_SECONDS

    def forget(self, orphan: Orphan) -> None:
        """Take note that it is there."""
        self.since.pop(orphan.deployment, None)

    def clear(self) -> None:
        """Drop everything: another process leads."""
        self.since.clear()


def _claim_of(instance: Instance) -> str | None:
    return instance.spec.claim.deployment if instance.spec.claim is not None else None
