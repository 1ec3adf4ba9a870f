"""Only a machine that can be had is lent, and an instance ends for a reason. Judged in all histories."""

from typing import Final

from berth_core import leasing, state
from berth_core.client import Object

from .cluster import Cluster
from .wire import Commit

NEEDED: Final = {"Online": "False", leasing.BEGUN: "False", leasing.QUARANTINED: "True", "IdConflict": "True"}
"""Conditions that keep a machine from being lent, and their values then."""


class Lending:
    """Looks at each lease that is taken, and at each instance that ends."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        cluster.store.listeners.append(self._commit)

    def _commit(self, commit: Commit) -> None:
        before = commit.before
        if before is None or commit.event == "DELETED":
            return
        status, earlier = commit.object.get("status") or {}, before.get("status") or {}
        if commit.plural == "workspacedeployments":
            if status.get("lease") and not earlier.get("lease"):
                self._taken(before)
        elif commit.plural == "instances" and status.get("reason") and not earlier.get("reason"):
            self._ended(commit.object, status["reason"])

    def _taken(self, machine: Object) -> None:
        """Nobody takes what is locked, silent, in quarantine or going; the swap is at a version that says so."""
        spec, metadata = machine["spec"], machine["metadata"]
        wrong = [c["type"] for c in machine["status"].get("conditions") or () if NEEDED.get(c["type"]) == c["status"]]
        wrong += [word for word in ("lockout", "dissolved") if spec.get(word)]
        wrong += ["deletion"] if metadata.get("deletionTimestamp") else []
        if wrong:
            self._cluster.violated(f"lending: a machine was lent in spite of {' '.join(wrong)}")

    def _ended(self, instance: Object, reason: str) -> None:
        """An instance that says why it ends tells the truth."""
        spec, metadata = instance["spec"], instance["metadata"]
        grounds = {
            state.TERMINATED: spec.get("terminate"),
            state.DELETED: metadata.get("deletionTimestamp"),
            state.KEEP_ALIVE_LOST: spec.get("keepAlive"),
        }
        if not grounds.get(reason, True):
            self._cluster.violated(f"lending: an instance ended with {reason}, which nobody asked for")
