"""Outcomes of a lease's hooks, and which hook follows. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from berth_core.kube.conditions import Condition, condition, find
from berth_core.kube.types import Object
from berth_core.leases.availability import CLEANING, QUARANTINED
from berth_core.resources import Instance
from berth_core.resources.workspacetype import Hook, Hooks
from berth_core.state import CLEANED
from berth_operator.instances.observed import HookView, Progress
from berth_operator.pods.view import PodView

TYPE_MISSING: Final = "TypeMissing"

PREPARE: Final = "prepare"
RESET: Final = "reset"
HEALTH: Final = "health"
"""Names of the hooks, in labels and in names of Jobs."""
AFTER: Final = (RESET, HEALTH)
"""Hooks that run when the workspace has ended, in their order."""
RUNS: Final = {PREPARE: "Preparing", RESET: "Resetting", HEALTH: "Checking"}
FAILS: Final = {RESET: "ResetFailed", HEALTH: "HealthCheckFailed"}
"""Reasons of the conditions Prepared and Cleaned, and of Quarantined, by hook."""
SPOKEN: Final = {PREPARE: "prepare", RESET: "reset", HEALTH: "healthCheck"}
"""How the type's spec names them."""
CLEAN: Final = "Clean"


@dataclass(frozen=True)
class Cleaning:
    """Progress of cleaning: ``hook`` is to be started (``start``), runs, or has failed; no hook: all is clean."""

    hook: str = ""
    start: bool = False
    failure: str = ""

    @property
    def verdict(self) -> bool:
        """Whether nothing more is to be run."""
        return bool(self.failure) or not self.hook

    @property
    def reason(self) -> str:
        """Reason of the condition Cleaned."""
        if not self.hook:
            return CLEAN
        return FAILS[self.hook] if self.failure else RUNS[self.hook]

    @property
    def message(self) -> str:
        """Its message."""
        if not self.hook:
            return "the deployment is ready for the next"
        return failed(self.hook, self.failure) if self.failure else f"the hook {SPOKEN[self.hook]} runs"


def wanted_after(hooks: Hooks) -> list[tuple[str, Hook]]:
    """Hooks that run after an end, in their order."""
    sequence = ((RESET, hooks.reset), (HEALTH, hooks.health_check))
    return [(name, hook) for name, hook in sequence if hook is not None]


def next_after(hooks: Sequence[str], views: Mapping[str, HookView]) -> Cleaning:
    """Next step of the hooks that run after an end: one after the other, until the first failure."""
    for name in hooks:
        view = views.get(name)
        if view is None:
            return Cleaning(name, start=True)
        if view.progress is Progress.FAILED:
            return Cleaning(name, failure=view.why or "it failed")
        if view.progress is Progress.RUNNING:
            return Cleaning(name)
    return Cleaning()


def cleaned(instance: Instance) -> tuple[str, str] | None:
    """Reason and message of the verdict that was written down; None while there is none."""
    verdict = find(instance.status.conditions, CLEANED)
    if verdict is None or verdict.reason not in (CLEAN, *FAILS.values()):
        return None
    return verdict.reason, verdict.message


def failed(name: str, why: str) -> str:
    """Sentence about a failure."""
    return f"the hook {SPOKEN[name]} failed: {why}"


def hook_view(job: Object, pods: Sequence[PodView]) -> HookView:
    """Read a hook's Job and, as far as they are known, its pods."""
    entries = {entry["type"]: entry for entry in (job.get("status") or {}).get("conditions") or ()}
    holds = {kind: entry for kind, entry in entries.items() if entry["status"] == "True"}
    if "Complete" in holds:
        return HookView(Progress.DONE)
    # FailureTarget comes first; Failed may never come where a silent node keeps a pod.
    failure = holds.get("Failed") or holds.get("FailureTarget")
    if failure is None:
        return HookView(Progress.RUNNING)
    last = _last_word(pods)
    if failure.get("reason") == "DeadlineExceeded":
        limit = f"it did not end within {job['spec'].get('activeDeadlineSeconds')} s"
        return HookView(Progress.FAILED, f"{limit} ({last})" if last else limit)
    return HookView(Progress.FAILED, last or failure.get("reason") or "its Job failed")


def _last_word(pods: Sequence[PodView]) -> str:
    """Outcome of the last pod: its command's exit code, or why it did not start. Never its output."""
    for pod in sorted(pods, key=lambda pod: pod.created, reverse=True):
        if pod.wall.exit_code and pod.wall.message:
            return pod.wall.message.strip()  # Berth's own words: the hook has not begun
        for container in pod.containers:
            if container.exit_code:
                words = f"exit code {container.exit_code}"
                return words if container.reason in ("", "Error") else f"{words}, {container.reason}"
        if pod.unschedulable_since is not None:
            return f"no node can run its pod: {pod.unschedulable}"
        for container in pod.containers:
            if container.state == "waiting" and container.reason not in ("", "NotReported", "ContainerCreating"):
                return f"its container waits: {container.reason}"
        if pod.reason:
            return pod.reason
    return ""


def not_cleaning(now: datetime) -> Condition:
    """Return the condition Cleaning of a deployment whose hooks have ended."""
    return condition(CLEANING, False, "HooksEnded", "no hook runs", now=now)


def quarantine(name: str, reason: str, message: str, now: datetime) -> Condition:
    """Return the condition Quarantined of the deployment ``name`` after a hook failed."""
    way_out = f"{message}. See to the machine, then `berth deployment release {name}`"
    return condition(QUARANTINED, True, reason, way_out, now=now)
