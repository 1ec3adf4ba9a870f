"""Which pods are kept warm for a deployment, and whether one serves a lease (ADR 0013). Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from berth_core.kube import conditions
from berth_core.kube.model import parse_time
from berth_core.leases.availability import AVAILABLE, availability
from berth_core.resources import Instance, WorkspaceDeployment, WorkspaceType
from berth_operator.instances.decide import LOOK_AGAIN, SILENCE
from berth_operator.pods.view import PodView

LIFE: Final = timedelta(days=1)
"""After this a pod that nobody has is made anew: images move under their tags."""
HELD_BACK: Final = timedelta(seconds=3)
"""While leases are being opened, the next pod is made this long after its deployment came free: starting it would take
processor time from waiters."""
RETRY_AFTER: Final = timedelta(seconds=30)
"""A pod that failed is made anew this long after it was made."""
AFTER_CORDON: Final = timedelta(seconds=30)
"""No pod is made for so long after a node was cordoned. ``kubectl drain`` asks every 5 s for the eviction of a name: it
must find no pod where one has left, since it would wait for the next one of the name wherever that runs."""


class Drawn(NamedTuple):
    """A nonce that was drawn for the Secrets of a pod to be kept warm, and that no status names, as far as is known."""

    deployment: str
    """Its uid: another one of the name begins with epochs that the earlier one had."""
    epoch: int
    nonce: str

    def serves(self, wd: WorkspaceDeployment, epoch: int) -> bool:
        """Whether Secrets may be made under it now.

        Of one that the status names the write was committed and its answer lost: its Secrets are never made again.
        """
        return (self.deployment, self.epoch) == (wd.metadata.uid, epoch) and self.nonce != wd.warm_nonce(epoch)


@dataclass(frozen=True)
class WarmSet:
    """Warm objects of one epoch: its pod, if there is one, and else its Service."""

    epoch: int
    pod: PodView | None = None
    silent: bool = False
    """The pod's node is not Ready."""
    stray: bool = False
    """The deployment's status does not name the pod's Secrets: it is being removed, or a former leader made it."""
    lacks_secrets: bool = False
    """The pod waits for Secrets that are gone."""
    leaving: bool = False
    """The pod's node is cordoned, and another pod would not come there again."""


@dataclass(frozen=True)
class ObservedWarm:
    """One deployment, and the warm objects of its epochs."""

    wd: WorkspaceDeployment | None
    type: WorkspaceType | None
    sets: tuple[WarmSet, ...] = ()
    wanted: str = ""
    """Digest of what would be made for the next epoch now."""
    others_wait: bool = False
    """Leases of other deployments are being opened."""
    cold: bool = False
    """The deployment's present holder has another pod, and so will not use the warm one."""
    cordon: datetime | None = None
    """When the last of the nodes that are cordoned was; None where there is none."""


@dataclass(frozen=True)
class WarmPlan:
    """The next step; epochs that are not named stay as they are."""

    remove: tuple[int, ...] = ()
    make: int | None = None
    again_at: datetime | None = None


def decide(seen: ObservedWarm, now: datetime) -> WarmPlan:
    """Decide which epochs' objects are removed, and for which they are made once no others are there."""
    next_epoch = next_epoch_of(seen, now)
    remove: list[int] = []
    again: list[datetime] = []
    spare: WarmSet | None = None
    for one in seen.sets:
        if _is_somebodys(one, seen):
            continue
        if one.epoch != next_epoch:
            remove.append(one.epoch)
        elif one.pod is None:
            spare = one
        elif (until := _good_until(one, one.pod, seen.wanted)) > now:
            spare = one
            again.append(max(one.pod.created + SILENCE, now + LOOK_AGAIN) if one.pod.is_silent else until)
        else:
            remove.append(one.epoch)
    alone = all(one is spare for one in seen.sets)
    make = next_epoch if alone and (spare is None or spare.pod is None) else None
    if make is not None and (until := _held_back(seen, now)) > now:
        make = None
        again.append(until)
    return WarmPlan(tuple(remove), make, min(again, default=None))


def next_epoch_of(seen: ObservedWarm, now: datetime) -> int | None:
    """Epoch for which a pod is to be kept warm; None where there is to be none."""
    wd, type_ = seen.wd, seen.type
    if wd is None or wd.metadata.deletion_timestamp or type_ is None:
        return None
    if not type_.spec.warm or type_.spec.retired or type_.spec.hooks.any:
        return None
    if wd.spec.machine is not None and wd.spec.machine.connector is not None:
        return None  # the word that opens streams is in its agent's Secret
    return wd.status.epoch + 1 if availability(wd, now=now).status == "True" else None


def awaits_its_finalizer(wd: WorkspaceDeployment | None) -> bool:
    """Whether a deployment from before there were finalizers on them gets its own first: what it has stays."""
    if wd is None or wd.has_begun or wd.metadata.deletion_timestamp:
        return False
    return wd.status.observed_generation is not None


def _held_back(seen: ObservedWarm, now: datetime) -> datetime:
    """Until when the next pod is not made; now where it is made at once."""
    opening = _free_since(seen.wd, now) + HELD_BACK if seen.others_wait else now
    return max(opening, seen.cordon + AFTER_CORDON) if seen.cordon is not None else opening


def _free_since(wd: WorkspaceDeployment | None, now: datetime) -> datetime:
    """When the deployment came free, as its status says; long ago where that does not tell."""
    available = conditions.find(wd.status.conditions, AVAILABLE) if wd is not None else None
    return parse_time(available.last_transition_time) if available is not None else now - HELD_BACK


def serves(one: WarmSet, instance: Instance, digest: str) -> bool:
    """Whether an instance that has the lease of the set's epoch gets its pod."""
    pod = one.pod
    return pod is not None and not (
        instance.spec.vpn
        or instance.spec.repo is not None
        or pod.over
        or not pod.finalized
        or pod.made_from != digest
        or one.silent
        or one.stray
        or pod.unschedulable_since is not None
        or pod.workspace.restarts
    )


def _is_somebodys(one: WarmSet, seen: ObservedWarm) -> bool:
    """Whether a lease decides about it: somebody has, or may take, what it brings."""
    leased = seen.wd is not None and seen.wd.status.lease is not None and seen.wd.status.epoch == one.epoch
    return leased and not seen.cold


def _good_until(one: WarmSet, pod: PodView, digest: str) -> datetime:
    """When a pod for the right epoch is to be made anew; long ago where that is now."""
    unfit = pod.deleting or not pod.finalized or pod.made_from != digest
    if unfit or one.silent or one.stray or one.lacks_secrets or one.leaving:
        return pod.created
    return pod.created + (RETRY_AFTER if pod.over else LIFE)
