"""The common ground of a history: time, the store, the trace, and the cluster's own controllers, which are played.

Played here: the garbage collector (ownerReferences), the Job controller, and the service accounts of administrators
and users who write with kubectl. Their writes are requests like those of Berth's processes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from berth_core.kube.types import Kind, Object
from berth_operator.kinds import JOBS, NODES, PODS

from .loops import Scheduler
from .network import DENIED, Feeds
from .store import Store
from .store.history import MODIFIED, Entry
from .store.kinds import served
from .wire import Commit, Request, Response

LAB: Final = "lab"
TYPE: Final = "bench"
ACCESS: Final = "berth-access"
RELEASE: Final = "berth"
MERGE: Final = "application/merge-patch+json"

OWNERS: Final = {
    "Instance": "instances",
    "WorkspaceDeployment": "workspacedeployments",
    "Job": "jobs",
    "Build": "builds",
    "Project": "projects",
}
"""Kinds that own others, and their plurals."""

Line = tuple[float, str, str, str, str]
"""Of the trace: time, who, what, on what, outcome."""


@dataclass
class Cluster:
    """The world of one history."""

    world: Scheduler
    store: Store = field(init=False)
    feeds: Feeds = field(default_factory=Feeds)
    trace: list[Line] = field(default_factory=list)
    violations: list[tuple[float, str]] = field(default_factory=list)
    logs: Callable[[Request], Response] | None = None
    """Answers for the logs of pods."""
    listeners: list[Callable[[Request], object]] = field(default_factory=list)
    """Are told of each request."""
    forbidden: bool = False
    """A policy has refused a kind of write for good, in this history."""

    def __post_init__(self) -> None:
        self.store = Store(now=self.world.wall, random=self.world.random)
        for name in (LAB, ACCESS, RELEASE):
            self.write("POST", Kind("v1", "namespaces", namespaced=False), None, body={"metadata": {"name": name}})
        self.store.listeners.append(self.feeds.commit)
        self.store.listeners.append(Collector(self).commit)
        self.store.listeners.append(JobController(self).commit)

    def say(self, who: str, what: str, on: str = "", outcome: str = "") -> None:
        """Add a line to the trace."""
        self.trace.append((self.world.now, who, what, on, outcome))

    def violated(self, what: str) -> None:
        """Note that an invariant is broken."""
        if all(known != what for _, known in self.violations):
            self.violations.append((self.world.now, what))
            self.world.halted = self.world.halts
            self.say("ORACLE", "VIOLATION", "", what)

    def forbids(self, said: Object) -> bool:
        """Tell whether an object says that a policy refuses it for good, which is so."""
        return self.forbidden and DENIED in str(said)

    def handle(self, request: Request) -> Response:
        """Have the store answer, or a kubelet for logs."""
        for listener in self.listeners:
            listener(request)
        if self.logs is not None and request.path.endswith("/log"):
            return self.logs(request)
        return self.store.handle(request)

    def write(
        self,
        method: str,
        kind: Kind,
        name: str | None,
        *,
        body: Object | None = None,
        sender: str = "admin",
        subresource: str | None = None,
        namespace: str = LAB,
    ) -> Response:
        """Write at once, as somebody with kubectl, a kubelet or a controller does."""
        space = namespace if kind.namespaced else None
        path = kind.path(space, name, subresource)
        content = MERGE if method == "PATCH" else "application/json"
        response = self.handle(Request(method, path, {}, body if body is not None else {}, content, sender=sender))
        if response.status >= 300 and response.status not in (404, 409):
            # Played processes do nothing that a real API server refuses: else a history tests less than it seems to.
            self.violated(f"played: {sender} was refused with {response.status}: {response.body.get('message')}"[:300])
        return response

    def bind(self, pod: str, node: str) -> None:
        """Bind a pod to a node, as the scheduler does by the subresource ``binding``."""
        history, key, resource = self.store._history, (LAB, pod), served()["pods"]
        known = history.find(resource, key)
        if known is not None:
            spec = known.object["spec"] | {"nodeName": node}
            request = Request("POST", PODS.path(LAB, pod, "binding"), sender="scheduler")
            history.commit(resource, MODIFIED, key, Entry(known.object | {"spec": spec}, known.owners), request)

    def later(self, least: float, most: float, event: Callable[[], object]) -> None:
        """Have something happen after a while that the seed chooses."""
        self.world.at(self.world.random.uniform(least, most), event)


class Collector:
    """The garbage collector: deletes what has no owner any more."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._owned: dict[str, dict[tuple[str, str, str, str], str]] = {}
        """By uid of the owner: plural, namespace, name and apiVersion of what it owns, with its uid."""

    def commit(self, commit: Commit) -> None:
        """Take note of owners; of a deleted one's dependents some time later."""
        metadata = commit.object["metadata"]
        for owner in metadata.get("ownerReferences") or ():
            key = commit.plural, metadata.get("namespace", ""), metadata["name"], commit.object["apiVersion"]
            if commit.event != "DELETED":
                self._owned.setdefault(owner["uid"], {})[key] = metadata["uid"]
                if commit.event == "ADDED" and self._is_gone(owner):
                    self._cluster.later(1.0, 6.0, partial(self._collect, owner["uid"]))
        if commit.event == "DELETED" and metadata["uid"] in self._owned:
            self._cluster.later(0.2, 3.0, lambda: self._collect(metadata["uid"]))

    def _is_gone(self, owner: Mapping[str, Any]) -> bool:
        plural = OWNERS.get(owner["kind"])
        if plural is None:
            return False
        found = self._cluster.store.find(plural, LAB, owner["name"])
        return found is None or found["metadata"]["uid"] != owner["uid"]

    def _collect(self, owner: str) -> None:
        for (plural, namespace, name, version), uid in self._owned.pop(owner, {}).items():
            found = self._cluster.store.find(plural, namespace, name)
            if found is None or found["metadata"]["uid"] != uid:
                continue
            others = [o for o in found["metadata"].get("ownerReferences") or () if not self._is_gone(o)]
            if not others:
                body = {"preconditions": {"uid": uid}}
                self._cluster.write("DELETE", Kind(version, plural), name, body=body, sender="gc", namespace=namespace)


class JobController:
    """Makes a Job's one pod, and says what became of it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def commit(self, commit: Commit) -> None:
        """React to Jobs and to their pods."""
        if commit.plural == "jobs" and commit.event == "ADDED":
            self._cluster.later(0.02, 0.3, lambda: self._make(commit.object))
            limit = commit.object["spec"].get("activeDeadlineSeconds")
            if limit:
                self._cluster.world.at(float(limit), lambda: self._expire(commit.object))
        elif commit.plural == "pods":
            job = (commit.object["metadata"].get("labels") or {}).get("batch.kubernetes.io/job-name")
            phase = (commit.object.get("status") or {}).get("phase")
            if job and (phase in ("Succeeded", "Failed") or commit.event == "DELETED"):
                self._cluster.later(0.02, 0.3, lambda: self._report(job, phase == "Succeeded", "BackoffLimitExceeded"))

    def _make(self, job: Object) -> None:
        metadata = job["metadata"]
        found = self._cluster.store.find("jobs", metadata["namespace"], metadata["name"])
        if found is None or found["metadata"]["uid"] != metadata["uid"] or found["metadata"].get("deletionTimestamp"):
            return
        template = job["spec"]["template"]
        own = template.get("metadata") or {}
        labels = {**(own.get("labels") or {}), "batch.kubernetes.io/job-name": metadata["name"]}
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
        owner |= {"controller": True, "blockOwnerDeletion": True}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**own, "generateName": metadata["name"] + "-", "labels": labels, "ownerReferences": [owner]},
            "spec": template["spec"],
        }
        self._cluster.write("POST", PODS, None, body=pod, sender="jobs")

    def _expire(self, job: Object) -> None:
        self._report(job["metadata"]["name"], False, "DeadlineExceeded", uid=job["metadata"]["uid"])

    def _report(self, name: str, succeeded: bool, reason: str, uid: str | None = None) -> None:
        found = self._cluster.store.find("jobs", LAB, name)
        if found is None or (uid is not None and found["metadata"]["uid"] != uid):
            return
        if (found.get("status") or {}).get("conditions"):
            return
        kinds = ["Complete"] if succeeded else ["FailureTarget", "Failed"]
        conditions = [{"type": kind, "status": "True", "reason": reason} for kind in kinds]
        status: Object = {"conditions": conditions, "succeeded": int(succeeded)}
        self._cluster.write("PATCH", JOBS, name, body={"status": status}, subresource="status", sender="jobs")
        if reason == "DeadlineExceeded":
            for pod in self._cluster.store.all("pods", LAB):
                if (pod["metadata"].get("labels") or {}).get("batch.kubernetes.io/job-name") == name:
                    self._cluster.write("DELETE", PODS, pod["metadata"]["name"], sender="jobs")


def node_of(deployment: str) -> str:
    """Name of the node at a machine: each deployment has its own."""
    return f"node-{deployment or 'work'}"


def add_node(cluster: Cluster, deployment: str, address: str) -> None:
    """Register a node that is well."""
    name = node_of(deployment)
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"machine": deployment}}}
    cluster.write("POST", NODES, None, body=body | {"spec": {}}, sender="kubelet")
    status = {"addresses": [{"type": "InternalIP", "address": address}], "conditions": [_ready("True")]}
    cluster.write("PATCH", NODES, name, body={"status": status}, subresource="status", sender="kubelet")


def say_ready(cluster: Cluster, deployment: str, word: str) -> None:
    """Write whether a node is Ready: True, False or Unknown."""
    body: Object = {"status": {"conditions": [_ready(word)]}}
    cluster.write("PATCH", NODES, node_of(deployment), body=body, subresource="status", sender="kubelet")


def _ready(word: str) -> Object:
    return {"type": "Ready", "status": word, "reason": "Kubelet"}
