"""Decides the next step of one instance. Pure: read :data:`RULES` from top to bottom."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from berth_core import state
from berth_core.kube import conditions
from berth_core.kube.model import parse_time, timestamp
from berth_core.leases.availability import NEVER_MADE_MESSAGE, is_tombstone
from berth_core.machines.devices import not_given
from berth_core.resources.workspacetype import Limits
from berth_operator.instances.expiry.notice import warns_at
from berth_operator.instances.hooks.decide import PREPARE, failed
from berth_operator.instances.keepalive.decide import MOST_SILENCE
from berth_operator.instances.observed import REFUSED, ObservedInstance, Progress
from berth_operator.instances.plan import Plan, Step
from berth_operator.instances.status import end_of
from berth_operator.pods.view import PodView

PATIENCE: Final = timedelta(seconds=20)
"""How long a pod may be unschedulable, or an image not pulled, before the start has failed."""
REMAKE_AFTER: Final = timedelta(seconds=5)
"""A pod that was lost sooner than this after it was made is made again only then."""
SILENCE: Final = timedelta(seconds=10)
"""A pod of which its node has said nothing for so long may wait for Secrets that are gone."""
CRASHES: Final = 3
"""Restarts of a workspace that never became ready, after which the start has failed."""
LOOK_AGAIN: Final = timedelta(seconds=5)
"""While something is being deleted: when to look if no news came."""
SETTLED_AFTER: Final = timedelta(seconds=2)
"""While others are being opened, the rules of a lease say so long after it is ready that they are in force."""
OPENING: Final = frozenset({Step.BIND, Step.PREPARE, Step.OPEN, Step.RESERVE})
"""Steps that make what belongs to a lease, or reserve it."""
LONGEST_WORDS: Final = 600
BETWEEN_LOOKS: Final = timedelta(milliseconds=200)
"""While its lease is being taken or given back: when to look again."""

PREPARING: Final = ("Preparing", "the hook prepare runs")

IMAGE_ERRORS: Final = frozenset({"ErrImagePull", "ImagePullBackOff"})
IMAGE_HOPELESS: Final = frozenset({"InvalidImageName", "ErrImageNeverPull"})
CONFIG_ERRORS: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


def decide(seen: ObservedInstance, now: datetime) -> Plan:
    """Next step of one instance. The first rule that speaks wins."""
    for rule in RULES:
        if plan := rule(seen, now):
            return plan
    return Plan.settled()


def ends_now(seen: ObservedInstance, now: datetime) -> bool:
    """Whether its own spec, its type and the time end it: nothing else need be observed then."""
    return bool(told_to_end(seen, now) or expired(seen, now))


def ended(seen: ObservedInstance, _now: datetime) -> Plan | None:
    """An ended instance stays ended; anything of it that turns up is cleared away."""
    instance = seen.instance
    if not conditions.is_true(instance.status.conditions, state.ENDED):
        return None
    if seen.pod is not None or seen.leftover:
        return Plan(Step.TEAR_DOWN)
    if instance.metadata.deletion_timestamp and instance.metadata.finalizers:
        return Plan(Step.FORGET)
    return Plan.settled()


def ending(seen: ObservedInstance, now: datetime) -> Plan | None:
    """Once it ends, it always ends."""
    if seen.instance.status.reason is None:
        return None
    return Plan(Step.TEAR_DOWN, again_at=now + LOOK_AGAIN)


def told_to_end(seen: ObservedInstance, _now: datetime) -> Plan | None:
    """Its holder said so, or it was deleted."""
    if is_tombstone(seen.instance):
        return Plan(Step.END, state.NEVER_MADE, NEVER_MADE_MESSAGE)
    if seen.instance.spec.terminate:
        return Plan(Step.END, state.TERMINATED, "its holder ended it")
    if seen.instance.metadata.deletion_timestamp:
        return Plan(Step.END, state.DELETED, "the Instance was deleted")
    return None


def expired(seen: ObservedInstance, now: datetime) -> Plan | None:
    """Its time is up."""
    end = end_of(seen.instance, seen.type)
    if end is None or not seen.clock_trusted or now < end:
        return None
    return Plan(Step.END, state.EXPIRED, f"its time was up at {timestamp(end)}")


def abandoned(seen: ObservedInstance, now: datetime) -> Plan | None:
    """Its holder asked for its end when no more pings come, and none came."""
    quiet = seen.quiet_since
    if quiet is None or not seen.clock_trusted or now < quiet + MOST_SILENCE:
        return None
    return Plan(
        Step.END,
        state.KEEP_ALIVE_LOST,
        f"no keep-alive ping came for {MOST_SILENCE.seconds} s after {timestamp(quiet)}",
    )


def unbound(seen: ObservedInstance, now: datetime) -> Plan | None:
    """It has no deployment yet: verify its claim, or wait for its turn."""
    instance = seen.instance
    if instance.status.epoch is not None:
        return None
    if seen.claiming:
        return Plan(Step.SETTLED, again_at=now + BETWEEN_LOOKS)
    if seen.held is None and instance.spec.claim is not None:
        return Plan(Step.END, state.CLAIM_LOST, seen.lost or "the lease that it claims is not its own")
    if seen.held is None:
        return Plan(Step.WAIT, "Waiting", seen.waits_for) if seen.waits_for else Plan(Step.TURN)
    if seen.held.goes_back(instance.status.returned):
        return Plan(Step.RETURN, again_at=now + LOOK_AGAIN)
    if seen.waits_for:
        return Plan(Step.MARK, "Waiting", seen.waits_for)
    if seen.type is None:
        name = seen.deployment.spec.type if seen.deployment else "?"
        return Plan(
            Step.END, state.START_FAILED, f"there is no WorkspaceType with typeName {name}: make it, then retry"
        )
    return endpoint_in_use(seen, now) or Plan(Step.BIND)


def refused(seen: ObservedInstance, plan: Plan, told: str, now: datetime, *, for_good: bool) -> Plan | None:
    """End of one whose lease cannot be opened, since the cluster refuses a part of it; None where a later try may do.

    An invalid part stays invalid. A forbidden one, such as a pod beyond a quota, is tried until startTimeout.
    """
    if plan.step not in OPENING or seen.instance.status.ready_time is not None:
        return None
    deadline = _start_deadline(seen)
    late = deadline is not None and seen.clock_trusted and now >= deadline
    if not (for_good or late):
        return None
    message = f"the cluster refuses what the lease opens: {told[:LONGEST_WORDS]}; correct the Instance or its type"
    return Plan(Step.END, state.START_FAILED, message)


def fenced_out(seen: ObservedInstance, _now: datetime) -> Plan | None:
    """Its lease is not its own any more."""
    return Plan(Step.END, state.CLAIM_LOST, seen.lost) if seen.lost else None


def endpoint_in_use(seen: ObservedInstance, _now: datetime) -> Plan | None:
    """Its machine is not lent, or a lease of another deployment has it: nothing was opened, and nothing will be."""
    return Plan(Step.END, state.START_FAILED, seen.machine.message) if seen.machine is not None else None


def unreserved(seen: ObservedInstance, _now: datetime) -> Plan | None:
    """It was given a device: that stays its own until nothing of the lease runs, whichever pod comes and goes."""
    return Plan(Step.RESERVE) if seen.unreserved else None


def unprepared(seen: ObservedInstance, now: datetime) -> Plan | None:
    """The hook `prepare` comes before the pod. Once a lease: what is made again later needs no other."""
    if not _must_be_prepared(seen):
        return None
    hook = seen.prepare
    if hook is None:
        return Plan(Step.PREPARE, *PREPARING)
    if hook.progress is Progress.FAILED:
        return Plan(Step.END, state.START_FAILED, f"{failed(PREPARE, hook.why)}; correct hooks.prepare of the type")
    if hook.progress is Progress.DONE:
        return Plan(Step.PREPARED)
    pod, due = seen.prepare_pod, None
    if pod is not None and pod.unschedulable_since is not None and seen.unallocated:
        if now >= (due := pod.unschedulable_since + PATIENCE):
            return Plan(Step.END, state.START_FAILED, not_given(seen.unallocated, pod.unschedulable))
    return Plan(Step.REPORT, *PREPARING, again_at=due)


def pod_is_over(seen: ObservedInstance, now: datetime) -> Plan | None:
    """The pod was evicted, deleted or lost, or is of another epoch: clear it away."""
    pod = seen.pod
    if pod is None or not (pod.over or pod.epoch != seen.instance.status.epoch):
        return None
    return Plan(
        Step.RETIRE, "PodLost", f"the pod is gone ({pod.reason or pod.phase}), another follows", now + LOOK_AGAIN
    )


def pod_cannot_start(seen: ObservedInstance, now: datetime) -> Plan | None:
    """The pod waits for Secrets that somebody has deleted: clear it away."""
    if not seen.lacks_secrets:
        return None
    return Plan(Step.RETIRE, "PodLost", "the pod waits for Secrets that are gone, another follows", now + LOOK_AGAIN)


def may_lack_secrets(pod: PodView, now: datetime) -> bool:
    """Whether to look if a pod waits for Secrets that are gone."""
    return pod.is_silent and not pod.over and now >= pod.created + SILENCE


def failed_to_start(seen: ObservedInstance, now: datetime) -> Plan | None:
    """It never became ready and will not: the message says what to do."""
    status = seen.instance.status
    if status.ready_time is not None:
        return None
    message = _failure(seen, now)
    return Plan(Step.END, state.START_FAILED, message) if message else None


def pod_is_missing(seen: ObservedInstance, now: datetime) -> Plan | None:
    """There is no pod: make it, but not in a tight loop."""
    if seen.pod is not None and seen.opened:
        return None
    if seen.pod is None and seen.previous_pod_created is not None:
        lived = (seen.previous_pod_ended or now) - seen.previous_pod_created
        due = seen.previous_pod_created + REMAKE_AFTER
        if lived < REMAKE_AFTER and now < due and seen.previous_pod_ended is not None:
            return Plan(Step.REPORT, "PodLost", "the pod was lost at once, the next is made soon", due)
    return Plan(Step.OPEN)


def rules_are_behind(seen: ObservedInstance, now: datetime) -> Plan | None:
    """The agent runs and does not have the present rules and keys."""
    pod = seen.pod
    if pod is None or not pod.ip or pod.agent.state != "running":
        return None
    if seen.agent.current:
        return None
    return Plan(Step.PUSH, again_at=_look_again(seen, now))


def vpn_is_behind(seen: ObservedInstance, now: datetime) -> Plan | None:
    """Its VPN has to be asked something, or told. ssh does not wait for that."""
    pod, vpn = seen.pod, seen.vpn
    if vpn is None or not vpn.due or pod is None or not seen.agent.current or pod.agent.state != "running":
        return None
    return Plan(Step.VPN, again_at=_look_again(seen, now))


def unproven(seen: ObservedInstance, now: datetime) -> Plan | None:
    """Rules are in force; whether ssh answers is not known yet."""
    pod, agent = seen.pod, seen.agent
    if pod is None or not agent.current or seen.address is None or pod.workspace.state == "terminated":
        return None
    if agent.probing:
        return Plan(Step.REPORT, again_at=_look_again(seen, now))
    if not agent.listening or agent.path is None:
        return Plan(Step.PROBE, again_at=_look_again(seen, now))
    return None


def settles_later(seen: ObservedInstance, now: datetime) -> bool:
    """Whether its rules need not say yet that they are in force: others are opened, and wait for the same processor."""
    ready = seen.instance.status.ready_time
    return seen.others_open and (ready is None or now < parse_time(ready) + SETTLED_AFTER)


def standing(seen: ObservedInstance, now: datetime) -> Plan | None:
    """Everything is as it should be, or depends on another's action: say so in the status."""
    return Plan(Step.REPORT, again_at=_look_again(seen, now))


RULES: Final[tuple[Callable[[ObservedInstance, datetime], Plan | None], ...]] = (
    ended,
    ending,
    told_to_end,
    expired,
    abandoned,
    unbound,
    fenced_out,
    endpoint_in_use,
    unreserved,
    unprepared,
    failed_to_start,
    pod_is_over,
    pod_cannot_start,
    pod_is_missing,
    rules_are_behind,
    vpn_is_behind,
    unproven,
    standing,
)


def _must_be_prepared(seen: ObservedInstance) -> bool:
    if seen.type is None or seen.type.spec.hooks.prepare is None or seen.pod is not None:
        return False
    status = seen.instance.status
    return status.ready_time is None and not conditions.is_true(status.conditions, state.PREPARED)


def _failure(seen: ObservedInstance, now: datetime) -> str:
    pod = seen.pod
    if pod is not None:
        if message := _image_failure(seen, pod, now):
            return message
        if pod.unschedulable_since is not None and now >= pod.unschedulable_since + PATIENCE:
            if seen.unallocated:
                return not_given(seen.unallocated, pod.unschedulable)
            return f"no node can run the pod: {pod.unschedulable}; check the type's resources, devices and nodeSelector"
        if pod.workspace.restarts >= CRASHES:
            why = pod.workspace.message or pod.workspace.reason or "it exits at once"
            return f"the workspace crashed {pod.workspace.restarts} times ({why}); check the type's image and command"
    timeout = _start_deadline(seen)
    if timeout is not None and seen.clock_trusted and now >= timeout:
        return f"it was not ready in time ({_obstacle(seen)}); check the pod's events or raise limits.startTimeout"
    return ""


def _image_failure(seen: ObservedInstance, pod: PodView, now: datetime) -> str:
    for container in pod.needed:
        words = container.message or container.reason
        image = "ci.image of the chart" if container is pod.repository else "spec.template.image of the type"
        if container.reason in IMAGE_HOPELESS:
            return f"the image cannot be used: {words}; correct {image}"
        if container.reason in CONFIG_ERRORS and _patience_is_over(seen, now):
            cloned = "" if pod.repository is None else ", or put the repository elsewhere"
            return f"the container cannot be made: {words}; correct the type's template{cloned}"
        if container.reason in IMAGE_ERRORS and _patience_is_over(seen, now):
            return f"the image cannot be pulled: {words}; correct {image}, or its pull secrets"
    return ""


def _patience_is_over(seen: ObservedInstance, now: datetime) -> bool:
    return seen.image_error_since is not None and now >= seen.image_error_since + PATIENCE


def _obstacle(seen: ObservedInstance) -> str:
    pod = seen.pod
    if seen.type is None:
        return "its WorkspaceType is gone"
    if pod is None or not pod.node:
        return "the pod is not scheduled"
    if pod.agent.state != "running":
        return f"the agent does not run: {pod.agent.message or pod.agent.reason}"
    if pod.workspace.state != "running":
        return f"the workspace does not run: {pod.workspace.message or pod.workspace.reason}"
    if not seen.agent.current:
        return seen.agent.error or "the firewall is not in force"
    if seen.address is None:
        return seen.address_problem or "there is no address"
    return REFUSED[1] if seen.agent.refused else "nothing listens on port 22"


def _start_deadline(seen: ObservedInstance) -> datetime | None:
    status, lease = seen.instance.status, seen.deployment.status.lease if seen.deployment else None
    start = status.start_time or (lease.claimed_at if lease is not None else None)
    if start is None:
        return None
    limits = seen.type.spec.limits if seen.type is not None else Limits()
    # The hook's time, which has a limit of its own, does not count.
    prepared = conditions.find(status.conditions, state.PREPARED)
    if prepared is not None and prepared.status == "True":
        start = prepared.last_transition_time
    return parse_time(start) + timedelta(seconds=limits.start_timeout)


def _look_again(seen: ObservedInstance, now: datetime) -> datetime | None:
    """When time alone will change the decision; None where it will not."""
    status, pod = seen.instance.status, seen.pod
    due: list[datetime] = []
    if end := end_of(seen.instance, seen.type):
        due.append(end)
    if (warning := warns_at(seen.instance, seen.type)) and now < warning:
        due.append(warning)
    if seen.quiet_since is not None:
        due.append(seen.quiet_since + MOST_SILENCE)
    if pod is not None and pod.is_silent:
        due.append(max(pod.created + SILENCE, now + LOOK_AGAIN))
    if status.ready_time is not None and not seen.rules_settled and settles_later(seen, now):
        due.append(parse_time(status.ready_time) + SETTLED_AFTER)
    if status.ready_time is None:
        if deadline := _start_deadline(seen):
            due.append(deadline)
        if pod is not None and pod.unschedulable_since is not None:
            due.append(pod.unschedulable_since + PATIENCE)
        if seen.image_error_since is not None:
            due.append(seen.image_error_since + PATIENCE)
    return min((max(moment, now) for moment in due), default=None)
