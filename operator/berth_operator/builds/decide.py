"""Decides the next step of a build from its observed state. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from berth_core import builds, names
from berth_core.kube import conditions
from berth_core.kube.containers import Container
from berth_core.kube.model import parse_time
from berth_operator.builds import images
from berth_operator.builds.observed import PodSeen, Report, SeenBuild, StepSeen, parse_report

FETCH_SECONDS: Final = 300
"""Time limit of finding the commit."""
BEFORE_SECONDS: Final = 900
"""Time limit of everything before the script: pulling its image, checking out."""
AFTER_SECONDS: Final = 120
"""Time limit of packing."""
PACKING: Final = timedelta(seconds=60)
PATIENCE: Final = timedelta(seconds=60)
"""For an image that cannot be pulled: registries have bad moments."""
CLEARING: Final = timedelta(seconds=30)
"""For pods to be gone; then the build is over without that: a silent node keeps its pod."""

HOPELESS: Final = frozenset({"InvalidImageName", "ErrImageNeverPull"})
PULLING: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError", "CreateContainerError"})

SUPERSEDED: Final = "another attempt was asked for"
NO_PROJECT: Final = "ProjectMissing"
NOT_THE_PROJECTS: Final = "NotTheProjects"
TOO_MANY: Final = "TooManyWaiting"
FORBIDDEN: Final = "RepositoryForbidden"
LOST: Final = "PodLost"
TIMEOUT: Final = "Timeout"
FETCH_TIMEOUT: Final = "FetchTimeout"
START_TIMEOUT: Final = "StartTimeout"
IMAGE: Final = "ImageFailed"
IMAGE_FORBIDDEN: Final = "ImageForbidden"
NO_RIGHT: Final = "NotAllowed"
WALL: Final = "WallMissing"
CHECKOUT: Final = "CheckoutFailed"
FETCH_FAILED: Final = "FetchFailed"
NO_TYPE: Final = "WorkspaceUnknown"
REFUSED: Final = "WorkspaceRefused"
MACHINE: Final = "WorkspaceFailed"
NOT_MADE: Final = "ClusterRefused"
"""Reasons beside those of ``berth_core.builds`` and of the steps (``berth_ci``): a build that ends so has errored."""


class Step(Enum):
    """The next step of a build."""

    BEGIN = auto()
    SHOW = auto()
    FETCH = auto()
    RESOLVE = auto()
    LEASE = auto()
    RUN = auto()
    OPEN = auto()
    END = auto()
    CLEAR = auto()
    FINISH = auto()
    SETTLED = auto()


MAKING: Final = frozenset({Step.FETCH, Step.LEASE, Step.RUN, Step.OPEN})
"""Steps that make something."""


@dataclass(frozen=True)
class Plan:
    """The step, and what the status says of it."""

    step: Step
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    report: Report | None = None
    again_at: datetime | None = None


Rule = Callable[[SeenBuild, datetime], Plan | None]


def decide(seen: SeenBuild, now: datetime) -> Plan:
    """Next step of one build. First rule that speaks wins."""
    for rule in RULES:
        if plan := rule(seen, now):
            return plan
    return Plan(Step.SETTLED)


def ending(seen: SeenBuild, now: datetime) -> Plan | None:
    """Give back what the build had once its verdict is written down; then it is over."""
    status = seen.build.status
    if status.reason is None or status.end_time is not None:
        return None
    running_condition = conditions.find(status.conditions, builds.RUNNING)
    times = [running_condition.last_transition_time if running_condition else None, status.start_time]
    # One that ends before it was shown to run has been shown not to since it was made.
    since = max((parse_time(time) for time in times if time), default=now)
    if seen.pods and now < since + CLEARING:
        return Plan(Step.CLEAR, again_at=since + CLEARING)
    return Plan(Step.FINISH)


def fresh(seen: SeenBuild, _now: datetime) -> Plan | None:
    """The wanted attempt has not begun."""
    status = seen.build.status
    over = status.attempt is None or status.end_time is not None
    return Plan(Step.BEGIN) if over and status.attempt != seen.build.spec.attempt else None


def over(seen: SeenBuild, _now: datetime) -> Plan | None:
    """Nothing is left to do, except to clear objects that a former leader made too late."""
    if seen.build.status.end_time is None:
        return None
    return Plan(Step.CLEAR) if seen.remains else Plan(Step.SETTLED)


def unwanted(seen: SeenBuild, _now: datetime) -> Plan | None:
    """Somebody canceled it, or asked for another attempt before this one was over."""
    status, spec = seen.build.status, seen.build.spec
    if status.attempt != spec.attempt:
        return Plan(Step.END, builds.CANCELED, SUPERSEDED)
    return Plan(Step.END, builds.CANCELED, "it was canceled") if builds.is_canceled(seen.build) else None


def unfit(seen: SeenBuild, _now: datetime) -> Plan | None:
    """It cannot be built, whether or not other builds wait."""
    spec, project = seen.build.spec, seen.project
    if project is None:
        return Plan(Step.END, NO_PROJECT, f"there is no Project {spec.project}: make it, then restart the build")
    if project.spec.user != spec.user:
        return Plan(Step.END, NOT_THE_PROJECTS, f"the project is not {spec.user}'s: builds are for its own user")
    if not {spec.user, "*"} & seen.allowed_users:
        return Plan(Step.END, NO_RIGHT, f"{spec.user} may not build here: ask for it in the value ci.allowedUsers")
    return Plan(Step.END, FORBIDDEN, seen.forbidden) if seen.forbidden else None


def waiting(seen: SeenBuild, _now: datetime) -> Plan | None:
    """Its turn has not come."""
    if seen.build.status.start_time is not None:
        return None
    if seen.ahead >= seen.most_waiting:
        return Plan(Step.END, TOO_MANY, f"{seen.ahead} of your builds wait already: cancel some, or wait for them")
    return Plan(Step.SHOW, "Waiting", "its turn has not come")


def overdue(seen: SeenBuild, now: datetime) -> Plan | None:
    """No Job could be made for it in time, such as beyond a quota: others have its turn. Jobs have limits of their own.

    One with a machine waits in the queue for that; then the machine's time is its limit.
    """
    status = seen.build.status
    if status.start_time is None or not seen.clock_trusted:
        return None
    lacks_fetch = status.commit is None and seen.fetch is None
    lacks_run = status.commit is not None and status.workspace is None and seen.run is None
    seconds = BEFORE_SECONDS + (FETCH_SECONDS if lacks_run else 0)
    if not (lacks_fetch or lacks_run) or now < parse_time(status.start_time) + timedelta(seconds=seconds):
        return None
    message = "no pod could be made for it in time: ask for room in the namespace's quotas, then restart the build"
    return Plan(Step.END, START_TIMEOUT, message)


def unresolved(seen: SeenBuild, _now: datetime) -> Plan | None:
    """Its commit has to be found, and its .berth.yml read."""
    if seen.build.status.commit is not None:
        return None
    if seen.fetch is None:
        return Plan(Step.FETCH)
    if plan := _unwalled(seen.fetch.pod):
        return plan
    fetch = seen.fetch.pod.container(names.FETCH_CONTAINER) if seen.fetch.pod else Container()
    if fetch.ended:
        report = parse_report(fetch.message)
        if report is not None and report.whole and fetch.exit_code == 0:
            problem = images.why_not(report.image or "", seen.allowed_images)
            return Plan(Step.END, IMAGE_FORBIDDEN, problem) if problem else Plan(Step.RESOLVE, report=report)
        if report is not None and report.error:
            return Plan(Step.END, report.error, report.message)
        words = f"exit code {fetch.exit_code}{_because(fetch.reason)}"
        return Plan(Step.END, FETCH_FAILED, f"the repository could not be looked into: {words}")
    if seen.fetch.failed == "DeadlineExceeded":
        return Plan(Step.END, FETCH_TIMEOUT, f"the commit was not found within {FETCH_SECONDS} s")
    if seen.fetch.failed:
        return Plan(Step.END, LOST, f"the pod that looked for the commit was lost ({_why(seen.fetch)}): restart it")
    return Plan(Step.SHOW, "Fetching", "looking for the commit")


def scripted(seen: SeenBuild, now: datetime) -> Plan | None:
    """Its script has ended, or will never begin or end."""
    if seen.run is None:
        return None
    pod = seen.run.pod or PodSeen("")
    if plan := _unwalled(pod):
        return plan
    checkout, script = pod.container(names.CHECKOUT_CONTAINER), pod.container(names.SCRIPT_CONTAINER)
    if checkout.ended and checkout.exit_code:
        report = parse_report(checkout.message)
        if report is not None and report.error:
            return Plan(Step.END, report.error, report.message)
        words = f"exit code {checkout.exit_code}{_because(checkout.reason)}"
        return Plan(Step.END, CHECKOUT, f"the commit could not be checked out: {words}")
    if script.ended:
        return _verdict(pod, script, now)
    if seen.run.failed == "DeadlineExceeded" and script.started is None:
        return Plan(Step.END, START_TIMEOUT, f"the script did not begin within {BEFORE_SECONDS} s")
    if seen.run.failed and seen.run.pod is None:
        return Plan(Step.END, LOST, f"the script's pod is gone ({_why(seen.run)}): restart the build")
    if seen.run.failed and script.started is None:
        return Plan(Step.END, LOST, f"the pod was lost before the script began ({_why(seen.run)}): restart the build")
    if seen.run.failed and seen.run.failed != "DeadlineExceeded":
        return Plan(Step.END, LOST, f"the pod was lost while the script ran ({_why(seen.run)}): restart the build")
    return _late(seen, script, now) or _unpulled(pod, script, now)


def unlisted(seen: SeenBuild, _now: datetime) -> Plan | None:
    """Its script has no pod yet, and its image was allowed only when the commit was found."""
    if seen.run is not None:
        return None
    problem = images.why_not(seen.build.status.image or "", seen.allowed_images)
    return Plan(Step.END, IMAGE_FORBIDDEN, problem) if problem else None


def machine_wanted(seen: SeenBuild, _now: datetime) -> Plan | None:
    """It wants a machine and has not got it, or had one and lost it."""
    status = seen.build.status
    if status.workspace is None:
        return None
    machine = seen.machine
    if machine is not None and machine.over:
        return Plan(Step.END, MACHINE, f"the machine ended ({machine.over}): {machine.message or 'no reason is known'}")
    if machine is not None and machine.bound:
        return None if machine.ready else Plan(Step.SHOW, builds.STARTING, "the machine starts")
    if seen.refused is not None:
        return Plan(Step.END, *seen.refused)
    if machine is not None:
        return Plan(Step.SHOW, builds.WAITING, machine.waits_for or "its turn for a machine has not come")
    workspace = conditions.find(status.conditions, builds.WORKSPACE_READY)
    if workspace is not None and workspace.reason == builds.POSTPONED:
        return Plan(Step.SHOW, builds.POSTPONED, "others of its user's builds wait for a machine before it")
    return Plan(Step.LEASE)


def unstarted(seen: SeenBuild, _now: datetime) -> Plan | None:
    """Everything is there but its pod."""
    return Plan(Step.RUN) if seen.run is None else None


def shut_out(seen: SeenBuild, _now: datetime) -> Plan | None:
    """Its pod has an address, which the machine's firewall does not let in."""
    if seen.machine is None or seen.run is None or seen.run.pod is None or not seen.run.pod.ip:
        return None
    return Plan(Step.OPEN) if seen.door != seen.run.pod.ip else None


def running(seen: SeenBuild, now: datetime) -> Plan | None:
    """It runs; when time alone changes that, the next look follows."""
    pod = seen.run.pod if seen.run else None
    script = pod.container(names.SCRIPT_CONTAINER) if pod else Container()
    due: datetime | None = None
    if script.state == "running" and script.started is not None:
        due = max(script.started + timedelta(seconds=seen.build.status.timeout or 0), now)
    elif script.reason in PULLING and pod is not None:
        due = max(_since(pod) + PATIENCE, now)
    words = ("Script", "the script runs") if script.state == "running" else ("CheckingOut", "the commit is checked out")
    return Plan(Step.SHOW, *words, again_at=due)


RULES: Final[tuple[Rule, ...]] = (
    ending,
    fresh,
    over,
    unwanted,
    unfit,
    waiting,
    overdue,
    unresolved,
    scripted,
    unlisted,
    machine_wanted,
    unstarted,
    shut_out,
    running,
)


def _unwalled(pod: PodSeen | None) -> Plan | None:
    """No wall was seen to stand around its pod, in which nothing of its user's ran then (ADR 0052)."""
    wall = pod.container(names.WALL_CONTAINER) if pod is not None else Container()
    if not wall.ended or not wall.exit_code:
        return None
    why = wall.message.strip() or f"its first container ended with exit code {wall.exit_code}{_because(wall.reason)}"
    return Plan(Step.END, WALL, why)


def _verdict(pod: PodSeen, script: Container, now: datetime) -> Plan:
    artifacts = pod.container(names.ARTIFACTS_CONTAINER)
    packed_by = (script.finished or now) + PACKING
    if not artifacts.ended and now < packed_by:
        return Plan(Step.SHOW, "Packing", "its artifacts are packed", again_at=packed_by)
    if script.exit_code == 0:
        return Plan(Step.END, builds.PASSED, "the script succeeded", exit_code=0)
    message = f"the script ended with exit code {script.exit_code}{_because(script.reason)}"
    return Plan(Step.END, builds.SCRIPT_FAILED, message, exit_code=script.exit_code)


def _late(seen: SeenBuild, script: Container, now: datetime) -> Plan | None:
    timeout = seen.build.status.timeout or 0
    message = f"the script ran for longer than {timeout} s: shorten it, or raise `timeout` in .berth.yml"
    if seen.run is not None and seen.run.failed:
        return Plan(Step.END, TIMEOUT, message)
    if script.state != "running" or script.started is None or not seen.clock_trusted:
        return None
    return Plan(Step.END, TIMEOUT, message) if now >= script.started + timedelta(seconds=timeout) else None


def _unpulled(pod: PodSeen, script: Container, now: datetime) -> Plan | None:
    if script.state != "waiting":
        return None
    if script.reason in HOPELESS or (script.reason in PULLING and now >= _since(pod) + PATIENCE):
        # The kubelet's own words would tell what its node reaches, and with which credentials.
        return Plan(Step.END, IMAGE, f"the image cannot be used ({script.reason}): correct `image` in .berth.yml")
    return None


def _since(pod: PodSeen) -> datetime:
    """When the last container ended, after which the next one's image is pulled."""
    ends = [container.finished for container in pod.containers.values() if container.finished is not None]
    return max([*ends, *([pod.created] if pod.created else [])])


def _why(step: StepSeen) -> str:
    return (step.pod.reason if step.pod else "") or step.failed


def _because(reason: str) -> str:
    return "" if reason in ("", "Error", "Completed") else f" ({reason})"
