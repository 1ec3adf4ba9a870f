"""Only a clean machine that can be had is lent, and an instance ends for a reason. Judged in all histories."""

from datetime import timedelta
from typing import Final

from berth_core import names, overrides, state
from berth_core.kube.model import parse_time
from berth_core.kube.types import Object
from berth_core.leases.availability import BEGUN, QUARANTINED
from berth_operator.deployments.decide import NODE_LOST
from berth_operator.instances.hooks.decide import AFTER, SPOKEN

from .cluster import LAB, Cluster
from .wire import Commit

NEEDED: Final = {
    "Online": "False",
    BEGUN: "False",
    QUARANTINED: "True",
    "IdConflict": "True",
    overrides.CONFLICT: "True",
}
"""Conditions that keep a machine from being lent, and their values then."""
KNOWN_WITHIN: Final = timedelta(seconds=2)
"""As exactly a process knows the store's time (docs/explanation/exclusive-lease.md)."""


class Lending:
    """Looks at each lease that is taken, and at each instance that ends."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._failed: set[tuple[str, str]] = set()
        """Deployments and epochs of which a hook has failed, or whose workspace was started again."""
        self._used: set[tuple[str, str]] = set()
        """Deployments and epochs whose instance was ready."""
        self._done: set[tuple[str, str, str]] = set()
        """Deployments, epochs and hooks that have succeeded there."""
        cluster.store.listeners.append(self._commit)

    def _commit(self, commit: Commit) -> None:
        before = commit.before
        if commit.plural in ("jobs", "pods") and _fails(commit.object):
            labels = commit.object["metadata"]["labels"]
            self._failed.add((labels[names.DEPLOYMENT_LABEL], labels[names.EPOCH_LABEL]))
        elif commit.plural == "jobs" and _holds(commit.object, "Complete"):
            labels = commit.object["metadata"].get("labels") or {}
            if names.HOOK_LABEL in labels:
                self._done.add((labels[names.DEPLOYMENT_LABEL], labels[names.EPOCH_LABEL], labels[names.HOOK_LABEL]))
        if before is None or commit.event == "DELETED":
            return
        status, earlier = commit.object.get("status") or {}, before.get("status") or {}
        if commit.plural == "workspacedeployments":
            if status.get("lease") and not earlier.get("lease"):
                self._taken(before)
            elif earlier.get("lease") and not status.get("lease"):
                self._given_back(commit.object, earlier)
            self._quarantined(commit.object["metadata"]["name"], earlier, status)
        elif commit.plural == "instances":
            if status.get("readyTime"):
                self._used.add((status["deployment"], str(status["epoch"])))
            if status.get("reason") and not earlier.get("reason"):
                self._ended(commit.object, status, earlier)

    def _taken(self, machine: Object) -> None:
        """Nobody takes what is locked, silent, in quarantine or going; the swap is at a version that says so."""
        spec, metadata = machine["spec"], machine["metadata"]
        wrong = [
            c["type"]
            for c in (machine.get("status") or {}).get("conditions") or ()
            if NEEDED.get(c["type"]) == c["status"]
        ]
        wrong += [word for word in ("lockout", "dissolved") if spec.get(word)]
        wrong += ["deletion"] if metadata.get("deletionTimestamp") else []
        wrong += ["no finalizer"] if names.FENCE_FINALIZER not in (metadata.get("finalizers") or ()) else []
        if wrong:
            self._cluster.violated(f"lending: a machine was lent in spite of {' '.join(wrong)}")

    def _given_back(self, machine: Object, before: Object) -> None:
        """A machine that somebody has used has been cleaned, or is set apart."""
        used = machine["metadata"]["name"], str(before.get("epoch") or 0)
        of_type = self._cluster.store.find("workspacetypes", LAB, machine["spec"]["type"]) or {"spec": {}}
        wanted = {hook for hook in AFTER if SPOKEN[hook] in (of_type["spec"].get("hooks") or {})}
        left = sorted(hook for hook in wanted if (*used, hook) not in self._done)
        if used in self._used and left and not _quarantine(machine.get("status") or {}):
            self._cluster.violated(f"lending: a machine was given back without its hooks {left}")

    def _quarantined(self, machine: str, before: Object, after: Object) -> None:
        """On a machine that is set apart after a lease a hook has failed, in that lease."""
        was, now = (_quarantine(status) for status in (before, after))
        failed = (machine, str(before.get("epoch") or 0)) in self._failed
        if now not in ("", was, NODE_LOST) and not failed and not self._cluster.forbids(after):
            self._cluster.violated("lending: a machine was set apart by a lease on which no hook failed")

    def _ended(self, instance: Object, status: Object, before: Object) -> None:
        """An instance that says why it ends tells the truth."""
        spec, metadata, reason = instance["spec"], instance["metadata"], status["reason"]
        expires = before.get("expireTime")
        grounds = {
            state.TERMINATED: spec.get("terminate"),
            state.DELETED: metadata.get("deletionTimestamp"),
            state.KEEP_ALIVE_LOST: spec.get("keepAlive"),
            state.EXPIRED: expires and parse_time(expires) <= self._cluster.world.wall() + KNOWN_WITHIN,
            state.START_FAILED: (status.get("deployment"), str(status.get("epoch"))) in self._failed
            or self._cluster.forbids(status),
        }
        if not grounds.get(reason, True):
            self._cluster.violated(f"lending: an instance ended with {reason}, for which there is no reason")


def _fails(obj: Object) -> bool:
    """Whether it is a hook's Job that has failed, or a pod whose workspace was started again."""
    labels, status = obj["metadata"].get("labels") or {}, obj.get("status") or {}
    if names.DEPLOYMENT_LABEL not in labels or names.EPOCH_LABEL not in labels:
        return False
    restarts = any(one.get("restartCount") for one in status.get("containerStatuses") or ())
    return restarts or _holds(obj, "FailureTarget")


def _holds(obj: Object, condition: str) -> bool:
    """Whether an object's status says so."""
    told = (obj.get("status") or {}).get("conditions") or ()
    return any(c["type"] == condition and c["status"] == "True" for c in told)


def _quarantine(status: Object) -> str:
    """Reason for which a machine is set apart; empty where it is not."""
    told = (c for c in status.get("conditions") or () if c["type"] == QUARANTINED and c["status"] == "True")
    return next((str(c["reason"]) for c in told), "")
