"""A lease, and whether a deployment can be had. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from berth_core import names, overrides
from berth_core.kube.conditions import Condition, condition, find
from berth_core.resources import Instance, WorkspaceDeployment
from berth_core.resources.base import Returned
from berth_core.resources.workspacedeployment import Maintenance

NEVER_MADE_MESSAGE: Final = "it was never made: the request for it came to nothing, and can be made again"
"""Reason that a tombstone shows for its end."""

AVAILABLE: Final = "Available"
BEGUN: Final = "Begun"
"""False while objects of an earlier deployment of the same name are left; absent where there never were any."""
CLEANING: Final = "Cleaning"
QUARANTINED: Final = "Quarantined"
SAFE_STATE: Final = "SafeState"
"""The keeper can do what the end of a lease takes (``onLeaseEnd``); absent where no end ever took anything."""


@dataclass(frozen=True)
class Lease:
    """A lease that was taken: name of the deployment and epoch."""

    deployment: str
    epoch: int

    def goes_back(self, mark: Returned | None) -> bool:
        """Whether ``mark``, the ``status.returned`` of the lease's instance or reservation, names this lease."""
        return mark is not None and (mark.deployment, mark.epoch) == (self.deployment, self.epoch)


def preference(wd: WorkspaceDeployment) -> tuple[int, int, str]:
    """Sort key of free deployments, best first: the newest type version, the least used, then by name."""
    return -wd.spec.type_version, wd.status.instances, wd.metadata.name


def under_maintenance(maintenance: Maintenance) -> str:
    """Say why and until when, in a sentence."""
    until = f"until {maintenance.until}" if maintenance.until is not None else "until its owner ends it"
    return f"under maintenance {until}: {maintenance.reason}"


def availability(wd: WorkspaceDeployment, *, now: datetime, owner: bool = False) -> Condition:
    """Return the Available condition that follows from a deployment's spec and status. Pure.

    Reasons: Dissolved, Cleaning, Leased, Deleting, Quarantined, Lockout, IdConflict, OverridesConflict, Maintenance,
    Offline, New, Free; the first that applies. With ``owner`` it is that for owners, whom no maintenance stops. With
    ``spec.machine``, New also after each change of the spec until the operator has looked at it.
    """
    truths = {c.type: c for c in wd.status.conditions if c.status == "True"}
    falsehoods = {c.type: c for c in wd.status.conditions if c.status == "False"}
    lease = wd.status.lease
    if wd.spec.dissolved is not None:
        reason, message = "Dissolved", f"taken away for good at {wd.spec.dissolved}"
    elif lease is not None and CLEANING in truths:
        reason, message = CLEANING, truths[CLEANING].message
    elif lease is not None:
        reason, message = "Leased", f"{lease.user} has it since {lease.claimed_at}{_deleted_while_leased(wd)}"
    elif wd.metadata.deletion_timestamp:
        reason, message = "Deleting", "it is being deleted"
    elif QUARANTINED in truths:
        reason, message = QUARANTINED, truths[QUARANTINED].message
    elif wd.spec.lockout:
        reason, message = "Lockout", "spec.lockout refuses new instances"
    elif (conflict := truths.get("IdConflict") or truths.get(overrides.CONFLICT)) is not None:
        reason, message = conflict.type, conflict.message
    elif not owner and wd.maintenance is not None:
        reason, message = "Maintenance", under_maintenance(wd.maintenance)
    elif "Online" in falsehoods:
        reason, message = "Offline", falsehoods["Online"].message
    elif not wd.has_begun:
        reason, message = "New", falsehoods[BEGUN].message if BEGUN in falsehoods else "Berth has not looked at it yet"
    elif wd.ends and not _is_safe(wd):
        # An operator of an earlier version says nothing of it, and would never have it done.
        reason, message = "New", "the operator has not said yet that the machine is brought to rest after a lease"
    elif wd.spec.machine is not None and wd.status.observed_generation != wd.metadata.generation:
        # Its endpoints and devices may have changed to those of another machine, or to such as nobody may have.
        reason, message = "New", "Berth has not looked at its latest change yet"
    else:
        reason, message = "Free", "can be had now"
    return condition(AVAILABLE, reason == "Free", reason, message, now=now, generation=wd.metadata.generation)


def _is_safe(wd: WorkspaceDeployment) -> bool:
    """Whether the operator has said, of the present spec, that the end of a lease will be done."""
    known = find(wd.status.conditions, SAFE_STATE)
    return known is not None and known.status == "True" and known.observed_generation == wd.metadata.generation


def _deleted_while_leased(wd: WorkspaceDeployment) -> str:
    if not wd.metadata.deletion_timestamp:
        return ""
    return f"; it is being deleted, and goes when that has ended: `berth release {wd.metadata.name}` ends it"


def is_tombstone(instance: Instance) -> bool:
    """Whether the Instance only reserves a name, and never served a user."""
    return instance.spec.terminate and names.NEVER_MADE_LABEL in instance.metadata.labels
