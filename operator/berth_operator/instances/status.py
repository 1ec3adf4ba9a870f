"""The status that an instance should show, from what was observed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from berth_core import state
from berth_core.kube.conditions import Condition, condition, find, is_true, merged
from berth_core.kube.model import LONGEST_LEASE, parse_time, timestamp
from berth_core.leases.availability import Lease
from berth_core.queue.order import queued
from berth_core.resources import Instance, WorkspaceType
from berth_core.resources.base import Returned
from berth_core.resources.instance import InForce, InstanceStatus
from berth_core.resources.machines.network import Machine
from berth_operator.instances.hooks.decide import Cleaning
from berth_operator.instances.observed import REFUSED, STARTING, ObservedInstance
from berth_operator.instances.plan import Plan
from berth_operator.instances.repository import CLONING, cloned
from berth_operator.instances.vpn.decide import serves
from berth_operator.pods.view import ORDINARY
from berth_operator.podspec.isolation import Verdict
from berth_operator.presence.view import machine_reachable

NOISY_AFTER = 3
"""Pushes that failed in a row before the status speaks of it: the agent may just be starting."""


@dataclass(frozen=True)
class PodSecrets:
    """Secrets that a pod mounts: the public host key in them, and the nonce in their names."""

    host_key: str
    nonce: str | None


def waiting(instance: Instance, plan: Plan, now: datetime) -> InstanceStatus:
    """Status of one that has no deployment yet."""
    place = instance.status.queued or queued(instance.metadata)
    return _with(instance, now, {"id": instance.public_id, "queued": place}, {
        state.BOUND: (False, plan.reason, plan.message),
        state.READY: (False, plan.reason, plan.message),
    })  # fmt: skip


def returning(instance: Instance, lease: Lease, plan: Plan, now: datetime) -> InstanceStatus:
    """Status of one whose lease goes back unused."""
    mark = Returned(deployment=lease.deployment, epoch=lease.epoch)
    return waiting(instance, plan, now).model_copy(update={"returned": mark})


def bound(
    instance: Instance, lease: Lease, secrets: PodSecrets, now: datetime, *, isolation: Verdict, warm: bool = False
) -> InstanceStatus:
    """Status of one that was just bound; ``isolation`` says whether its pod has a user namespace."""
    fields = {
        "id": instance.public_id,
        "deployment": lease.deployment,
        "epoch": lease.epoch,
        "start_time": instance.status.start_time or timestamp(now),
        "host_keys": [secrets.host_key],
        "nonce": secrets.nonce,
        "warm": warm or None,
    }
    return _with(instance, now, fields, {
        state.BOUND: (True, "Bound", f"it has {lease.deployment}"),
        state.USER_NAMESPACE: isolation,
        **_starting(instance, *STARTING),
    })  # fmt: skip


def with_machine(status: InstanceStatus, machine: Machine | None) -> InstanceStatus:
    """Status of one that was just bound, with the machine that its lease opens."""
    return status.model_copy(update={"machine": machine})


def renewed(instance: Instance, secrets: PodSecrets) -> InstanceStatus:
    """Status of one whose Secrets were deleted and made anew."""
    return instance.status.model_copy(update={"host_keys": [secrets.host_key], "nonce": secrets.nonce})


def hook_starts(status: InstanceStatus, hook: str, nonce: str) -> InstanceStatus:
    """Status of one whose hook is started next, with the nonce of the hook's Secret."""
    return status.model_copy(update={"hook_nonces": status.hook_nonces | {hook: nonce}})


def ending(instance: Instance, plan: Plan, now: datetime) -> InstanceStatus:
    """Status of one that ends from now on. Fields that were written before stay."""
    fields = {"id": instance.public_id, "reason": plan.reason, "message": plan.message, "address": None}
    return _with(instance, now, fields, {
        state.ENDED: (False, plan.reason, plan.message),
        state.READY: (False, plan.reason, plan.message),
    })  # fmt: skip


def prepared(instance: Instance, now: datetime) -> InstanceStatus:
    """Status of one whose hook `prepare` has succeeded."""
    return _with(instance, now, {}, {state.PREPARED: (True, "Prepared", "the hook prepare has succeeded")})


def cleaning(instance: Instance, step: Cleaning, now: datetime) -> InstanceStatus:
    """Status of one whose machine is made ready for the next; its outcome stays."""
    return _with(instance, now, {}, {state.CLEANED: (not step.hook, step.reason, step.message)})


def rested(instance: Instance, verdict: tuple[bool, str, str], now: datetime) -> InstanceStatus:
    """Status of one whose machine is brought to the state that it has between leases."""
    return _with(instance, now, {}, {state.RESTED: verdict})


def ended(instance: Instance, now: datetime) -> InstanceStatus:
    """Status of one of which nothing is left."""
    reason, message = instance.status.reason or state.DELETED, instance.status.message or ""
    end_time = instance.status.end_time or timestamp(now)
    fields = {"end_time": end_time, "address": None, "firewall": None, "pod_uid": None}
    return _with(instance, now, fields, {
        state.ENDED: (True, reason, message),
        state.READY: (False, reason, message),
        state.POD_READY: (False, reason, "the pod is gone"),
        state.NETWORK_READY: (False, reason, "the network is closed"),
        **({state.VPN_READY: (False, reason, "the VPN is gone")} if instance.spec.vpn else {}),
    })  # fmt: skip


def reported(seen: ObservedInstance, plan: Plan, now: datetime) -> InstanceStatus:
    """Status of one that is bound and does not end."""
    instance, pod, agent = seen.instance, seen.pod, seen.agent
    if pod is None or pod.over or pod.epoch != instance.status.epoch:
        reason, message = (plan.reason or STARTING[0], plan.message or STARTING[1])
        lost = {"address": None, "firewall": None, "pod_uid": None} | _extended(instance, seen.type)
        return _with(instance, now, lost, _starting(instance, reason, message))
    proven = bool(agent.listening) and agent.path is not None and seen.address is not None
    up = (proven or _is_asked_again(seen)) and not seen.silent_node
    fields = _extended(instance, seen.type)
    if up or instance.status.pod_uid:
        fields["pod_uid"] = pod.uid
    if agent.acknowledged is not None and _shows_more(agent.acknowledged, instance.status.firewall, up=up):
        fields["firewall"] = agent.acknowledged
    if up:
        fields |= {"address": seen.address} | _readiness(instance, seen.type, now)
    network = _network(seen)
    return _with(instance, now, fields, {
        state.POD_READY: _pod(seen),
        state.NETWORK_READY: network,
        state.READY: (True, "Ready", "ssh opens a shell") if up else (False, *_first_problem(seen)),
        **({state.VPN_READY: serves(seen)} if instance.spec.vpn else {}),
        **({state.REPOSITORY_READY: cloned(seen)} if instance.spec.repo is not None else {}),
        **({state.USER_NAMESPACE: seen.isolation} if seen.isolation is not None else {}),
        **machine_reachable(instance, seen.deployment),
    })  # fmt: skip


def _shows_more(acknowledged: InForce, shown: InForce | None, *, up: bool) -> bool:
    """Whether the status shows another ruleset, or none. Each leader pushes all anew: its term alone is no news."""
    return up if shown is None else shown.digest != acknowledged.digest


def expire_time(ready: datetime, request: int | None, type_: WorkspaceType | None) -> datetime | None:
    """End of a lease that became ready at ``ready``; None for no end."""
    limits = type_.spec.limits if type_ else None
    seconds = request if request is not None else limits.default_expire_after if limits else None
    longest = limits.max_expire_after if limits else None
    if longest is not None:
        seconds = longest if seconds is None else min(seconds, longest)
    return None if seconds is None else ready + timedelta(seconds=min(seconds, LONGEST_LEASE))


def end_of(instance: Instance, type_: WorkspaceType | None) -> datetime | None:
    """When the lease ends: as the status says, or as an extension says that the status does not show yet."""
    status = instance.status
    pending = status.observed_generation != instance.metadata.generation and instance.spec.expire_after is not None
    if status.ready_time is not None and pending:
        return _whole(expire_time(parse_time(status.ready_time), instance.spec.expire_after, type_))
    return parse_time(status.expire_time) if status.expire_time else None


def _readiness(instance: Instance, type_: WorkspaceType | None, now: datetime) -> dict[str, object]:
    """ReadyTime, and expireTime with it, once."""
    if instance.status.ready_time is not None:
        return {}
    end = _whole(expire_time(now, instance.spec.expire_after, type_))
    return {"ready_time": timestamp(now), "expire_time": timestamp(end) if end else None}


def _extended(instance: Instance, type_: WorkspaceType | None) -> dict[str, object]:
    """ExpireTime again when spec.expireAfter was changed after readiness, whatever state the pod is in."""
    end = end_of(instance, type_)
    return {"expire_time": timestamp(end)} if end else {}


def _whole(end: datetime | None) -> datetime | None:
    """People read the end in tables: whole seconds, never later than was asked for."""
    return end.replace(microsecond=0) if end else None


def _starting(instance: Instance, reason: str, message: str) -> dict[str, tuple[bool, str, str]]:
    kinds = [state.POD_READY, state.NETWORK_READY, state.READY]
    kinds += [state.VPN_READY] if instance.spec.vpn else []
    kinds += [state.REPOSITORY_READY] if instance.spec.repo is not None else []
    return dict.fromkeys(kinds, (False, reason, message))


def _pod(seen: ObservedInstance) -> tuple[bool, str, str]:
    pod = seen.pod
    if pod is None:
        return (False, *STARTING)
    if seen.silent_node:
        return (False, *_first_problem(seen))
    if seen.agent.listening or _is_asked_again(seen):
        return (True, "Running", "sshd listens")
    if pod.workspace.state == "running" and seen.instance.status.ready_time is None:
        return (False, *STARTING)
    return (False, *_first_problem(seen))


def _is_asked_again(seen: ObservedInstance) -> bool:
    """Whether this process has just begun and has not yet found out for itself what the status says: ssh answers.

    It may know that sshd listens before it knows that packets arrive.
    """
    pod, agent, before = seen.pod, seen.agent, seen.instance
    unknown = agent.listening is None or (agent.listening and agent.path is None)
    if pod is None or not agent.first_met or not unknown or seen.address is None:
        return False
    running = pod.agent.state == pod.workspace.state == "running"
    return running and is_ready(before) and before.status.pod_uid == pod.uid


def _network(seen: ObservedInstance) -> tuple[bool, str, str]:
    agent = seen.agent
    if agent.failures > NOISY_AFTER:
        return (False, "AgentUnreachable", f"{agent.error}; the last ruleset stays in force")
    if seen.address is None and seen.address_problem:
        return (False, "NoAddress", seen.address_problem)
    if agent.path is None and agent.refused and not _is_asked_again(seen):
        return (False, *REFUSED)
    if agent.acknowledged is None or agent.path is None:
        former = find(seen.instance.status.conditions, state.NETWORK_READY)
        if former is not None and former.status == "True" and seen.instance.status.firewall is not None:
            return (True, former.reason, former.message)  # this process has just begun and asks again
        return (False, *STARTING)
    if agent.path:
        return (True, "InForce", "the firewall is in force and packets arrive")
    return (True, "PathUnverified", "the firewall is in force; whether packets arrive could not be tried from here")


def _first_problem(seen: ObservedInstance) -> tuple[str, str]:
    pod = seen.pod
    if pod is None:
        return STARTING
    if seen.silent_node:
        return ("NodeLost", f"the node {seen.silent_node} is silent; the lease stays")
    if pod.unschedulable_since is not None:
        return ("Unschedulable", pod.unschedulable)
    for container in pod.needed:
        if container.state != "running" and container.reason not in ("", *ORDINARY):
            return (container.reason, container.message or "the container does not run")
    if seen.agent.failures > NOISY_AFTER:
        return ("AgentUnreachable", seen.agent.error)
    if pod.repository is not None and pod.repository.state == "running":
        return CLONING
    if seen.address is None and seen.address_problem:
        return ("NoAddress", seen.address_problem)
    if seen.agent.refused:
        return REFUSED
    if seen.instance.status.ready_time is not None:
        return ("Restarting", "the workspace starts again")
    return STARTING


def _with(
    instance: Instance, now: datetime, fields: Mapping[str, object], entries: dict[str, tuple[bool, str, str]]
) -> InstanceStatus:
    generation = instance.metadata.generation
    new: list[Condition] = [
        condition(kind, value, reason, message, now=now, generation=generation)
        for kind, (value, reason, message) in entries.items()
    ]
    conditions = merged(instance.status.conditions, new)
    update = {**fields, "conditions": conditions, "observed_generation": generation}
    return instance.status.model_copy(update=update)


def was_ready(instance: Instance) -> bool:
    """Whether it has been ready once, so that its end counts as a completed instance."""
    return instance.status.ready_time is not None


def is_ready(instance: Instance) -> bool:
    """Whether its status says that ssh opens a shell."""
    return is_true(instance.status.conditions, state.READY)
