"""Decides the status of a deployment and of a type. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from berth_core import overrides
from berth_core.kube.conditions import Condition, Status, condition, find, merged
from berth_core.kube.model import parse_time
from berth_core.leases.availability import BEGUN, CLEANING, QUARANTINED, availability, under_maintenance
from berth_core.machines.devices import FOUND, Sight
from berth_core.machines.placement import INBOUND, WALLED, Fault, passes_rulesets
from berth_core.machines.sharing import record
from berth_core.resources import Resource, WorkspaceDeployment, WorkspaceType
from berth_core.resources.workspacedeployment import MAINTENANCE, WorkspaceDeploymentStatus
from berth_core.resources.workspacetype import WorkspaceTypeStatus
from berth_operator.deployments.inbound.manifests import Verdict as Inbound
from berth_operator.deployments.online import Beat
from berth_operator.deployments.online import online as heartbeat_online
from berth_operator.enforcement.decide import Verdict
from berth_operator.instances.hooks.decide import not_cleaning
from berth_operator.presence.decide import Presence, reachable
from berth_operator.presence.decide import Verdict as Reach
from berth_operator.presence.view import REACHABLE

NODE_LOST: Final = "NodeLost"
RELEASED: Final = "Released"
ONLINE: Final = "Online"
DISTRUST_WAIT: Final = timedelta(seconds=5)
"""How long to wait for a clock that is not trusted."""
R = TypeVar("R", bound=Resource)


@dataclass(frozen=True)
class ObservedDeployment:
    """One deployment and what surrounds it."""

    wd: WorkspaceDeployment
    rivals: tuple[WorkspaceDeployment, ...] = ()
    """Others with the same public id."""
    type: WorkspaceType | None = None
    """Its type; None where there is none."""
    node_ready: bool | None = None
    """Whether a node that it selects is Ready; None where its heartbeat is not a node."""
    beat: Beat | None = None
    """Its Lease, where that is its heartbeat; None where there is none."""
    lost_node: str = ""
    """Node that is silent while a pod of the holder's on it must end."""
    cleaning: str = ""
    """Which hook runs between its last holder and the next, in a sentence; empty where none does."""
    machine: Fault | None = None
    """Why its machine is not lent; None where it may be, or has no address and no device of its own."""
    devices: Sight | None = None
    """Verdict on its machine's devices, by what drivers offer; None where it has none."""
    presence: Presence | None = None
    """Probes of its machine; None where none are asked for."""
    inbound: Inbound | None = None
    """Where its machine connects to; None where it connects to nothing."""
    clock_trusted: bool = True


def deployment_status(seen: ObservedDeployment, now: datetime) -> WorkspaceDeploymentStatus:
    """Status as it should be; the lease, the epoch and the count are never touched here."""
    wd = seen.wd
    generation = wd.metadata.generation
    elder = oldest([wd, *seen.rivals])
    reach = reachable(seen.presence, find(wd.status.conditions, REACHABLE), generation)
    holds, *why = _conflict(wd, elder, wd.public_id)
    new = [
        condition(ONLINE, *_online(seen, reach), now=now, generation=generation),
        condition("IdConflict", holds, *why, now=now, generation=generation),
    ]
    if reach is not None:
        new.append(condition(REACHABLE, *reach, now=now, generation=generation))
    news = (
        _begun(wd, now),
        _overridden(seen, now),
        _quarantined(seen, now),
        _cleaning(seen, now),
        _maintained(seen, now),
        _walled(seen, now),
        _inbound(seen, now),
        _devices(seen, now),
    )
    new += [entry for entry in news if entry is not None]
    conditions = merged(wd.status.conditions, new)
    status = wd.status.model_copy(
        update={
            "id": wd.public_id,
            "observed_generation": generation,
            "conditions": conditions,
            "endpoints": record(wd, seen.machine, conflict=holds),
        }
    )
    available = availability(wd.model_copy(update={"status": status}), now=now)
    return status.model_copy(update={"conditions": merged(conditions, [available])})


def type_status(
    type_: WorkspaceType, rivals: Sequence[Resource], now: datetime, enforcement: Verdict | None = None
) -> WorkspaceTypeStatus:
    """Status of a type; ``rivals`` are others with the same typeName.

    Without a verdict about NetworkPolicy what is said of it stays.
    """
    generation = type_.metadata.generation
    holds, reason, message = _conflict(type_, oldest([type_, *rivals]), type_.spec.type_name)
    if type_.spec.retired:
        ready = (False, "Retired", "spec.retired: it is kept for its history")
    elif holds:
        ready = (False, reason, message)
    else:
        ready = (True, "Ready", "it can be used")
    new = [
        condition("IdConflict", holds, reason, message, now=now, generation=generation),
        condition("Ready", *ready, now=now, generation=generation),
    ]
    if enforcement is not None:
        new.append(enforcement.condition(now, generation))
    conditions = merged(type_.status.conditions, new)
    return type_.status.model_copy(update={"observed_generation": generation, "conditions": conditions})


def oldest(resources: Iterable[R]) -> R:
    """Of several with one id or name, the one that has it."""
    return min(resources, key=lambda r: (r.metadata.creation_timestamp, r.metadata.namespace, r.metadata.name))


def _conflict(this: Resource, elder: Resource, name: str) -> tuple[bool, str, str]:
    if elder is this or elder.metadata.uid == this.metadata.uid:
        return False, "Unique", f"{name} is its own"
    where = f"{elder.metadata.namespace}/{elder.metadata.name}"
    return True, "IdConflict", f"{where}, which is older, has {name}: delete one of the two"


def maintenance_left(seen: ObservedDeployment, now: datetime) -> timedelta | None:
    """Length of time until a maintenance ends by itself; None where there is none that does.

    While the clock is not trusted, none ends.
    """
    maintenance = seen.wd.maintenance
    if maintenance is None or maintenance.until is None:
        return None
    left = parse_time(maintenance.until) - now
    return left if seen.clock_trusted else max(left, DISTRUST_WAIT)


def _online(seen: ObservedDeployment, reach: Reach | None) -> tuple[bool, str, str]:
    """Return whether the machine may be lent, and each proof of it that is asked for is there."""
    if seen.machine is not None:
        return False, seen.machine.reason, seen.machine.message
    heartbeat = _heartbeat(seen)
    if seen.presence is None or reach is None or not heartbeat[0]:
        return heartbeat
    if reach.status != "True":
        return False, reach.reason, reach.message
    return heartbeat if seen.wd.spec.heartbeat != "none" else (True, reach.reason, reach.message)


def _heartbeat(seen: ObservedDeployment) -> tuple[bool, str, str]:
    heartbeat = seen.wd.spec.heartbeat
    if heartbeat == "none":
        return True, "NoHeartbeat", "spec.heartbeat is none: it counts as online"
    if heartbeat == "node":
        if seen.node_ready:
            return True, "NodeReady", "a node that it selects is Ready"
        return False, "NodeNotReady", "no node that it selects is Ready"
    return heartbeat_online(seen.wd.metadata.name, seen.beat, find(seen.wd.status.conditions, ONLINE))


def _maintained(seen: ObservedDeployment, now: datetime) -> Condition | None:
    """Return whether owners alone may lease the machine, where that is or was so."""
    wd, maintenance, left = seen.wd, seen.wd.maintenance, maintenance_left(seen, now)
    if maintenance is not None and (left is None or left > timedelta(0)):
        verdict = (True, "UnderMaintenance", under_maintenance(maintenance))
    elif find(wd.status.conditions, MAINTENANCE) is not None or wd.spec.maintenance is not None:
        verdict = (False, "MaintenanceOver", "no maintenance goes on")
    else:
        return None
    return condition(MAINTENANCE, *verdict, now=now, generation=wd.metadata.generation)


def _begun(wd: WorkspaceDeployment, now: datetime) -> Condition | None:
    """Return that nothing of an earlier deployment is left any more, where something was."""
    former = find(wd.status.conditions, BEGUN)
    if former is None or former.status == "True":
        return None
    verdict = (True, "NothingLeft", "nothing of an earlier deployment of this name is left")
    return condition(BEGUN, *verdict, now=now, generation=wd.metadata.generation)


def _overridden(seen: ObservedDeployment, now: datetime) -> Condition | None:
    """Return whether the overrides say other than the type's template, where they do or did."""
    if seen.type is None:
        return None
    wrong = overrides.conflicts(seen.type.spec.template, seen.wd.spec.overrides)
    if not wrong and find(seen.wd.status.conditions, overrides.CONFLICT) is None:
        return None
    message = "the overrides only add to the template"
    if wrong:
        message = (
            f"spec.overrides would change what type {seen.wd.spec.type} says of {', '.join(wrong[:8])}:"
            " take that out of the overrides, or change the type's template"
        )
    reason = "Differs" if wrong else "Adds"
    return condition(overrides.CONFLICT, bool(wrong), reason, message, now=now, generation=seen.wd.metadata.generation)


def _walled(seen: ObservedDeployment, now: datetime) -> Condition | None:
    """Return whether both walls hold the machine's endpoints, where it has or had any."""
    former = find(seen.wd.status.conditions, WALLED)
    if seen.type is None or (seen.wd.network is None and (former is None or former.status == "True")):
        return None
    verdict = (True, "TwoWalls", "rulesets in pods and NetworkPolicies hold it")
    if seen.wd.network is not None and passes_rulesets(seen.type.spec.template):
        message = (
            f"type {seen.wd.spec.type} gives workspaces the power to get past their ruleset (privileged, or a"
            " capability): the NetworkPolicy alone holds machines"
        )
        verdict = (False, "OneWall", message)
    return condition(WALLED, *verdict, now=now, generation=seen.wd.metadata.generation)


def _inbound(seen: ObservedDeployment, now: datetime) -> Condition | None:
    """Return where the machine connects to, where it does or did."""
    verdict = seen.inbound
    if verdict is None:
        if find(seen.wd.status.conditions, INBOUND) is None:
            return None
        verdict = Inbound(False, "NotAsked", "spec.machine.network.inbound names no port")
    return condition(INBOUND, *verdict, now=now, generation=seen.wd.metadata.generation)


def _devices(seen: ObservedDeployment, now: datetime) -> Condition | None:
    """Return whether each of the machine's devices is there once, where it has or had any."""
    generation = seen.wd.metadata.generation
    if seen.devices is not None:
        status: Status = "False" if seen.devices.fault is not None else "Unknown"
        if seen.devices.reason == FOUND:
            status = "True"
        return condition(FOUND, status, *seen.devices, now=now, generation=generation)
    if find(seen.wd.status.conditions, FOUND) is None:
        return None
    return condition(FOUND, True, "NoDevices", "spec.machine names no device", now=now, generation=generation)


def _quarantined(seen: ObservedDeployment, now: datetime) -> Condition | None:
    """Quarantine for a node that is silent; one for another reason stays until an administrator ends it."""
    generation = seen.wd.metadata.generation
    if seen.lost_node:
        message = (
            f"the node {seen.lost_node} is silent, so nobody knows whether the workspace still runs: bring the node"
            f" back, or, when the machine is surely off, `berth release {seen.wd.metadata.name} --force --reason …`"
        )
        return condition(QUARANTINED, True, NODE_LOST, message, now=now, generation=generation)
    former = find(seen.wd.status.conditions, QUARANTINED)
    if former is None or (former.status == "True" and former.reason == NODE_LOST):
        sound = (False, "Sound", "nothing is known against it")
        return condition(QUARANTINED, *sound, now=now, generation=generation)
    release = seen.wd.spec.quarantine_release
    if former.status == "True" and release is not None and release.epoch == seen.wd.status.epoch:
        sentence = f"an administrator released it{': ' if release.reason else ''}{release.reason}"
        return condition(QUARANTINED, False, RELEASED, sentence, now=now, generation=generation)
    return None


def _cleaning(seen: ObservedDeployment, now: datetime) -> Condition | None:
    generation = seen.wd.metadata.generation
    if seen.cleaning:
        return condition(CLEANING, True, "HooksRun", seen.cleaning, now=now, generation=generation)
    former = find(seen.wd.status.conditions, CLEANING)
    return not_cleaning(now) if former is not None and former.status == "True" else None
