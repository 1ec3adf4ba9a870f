"""Nodes, played: one for each machine, with a scheduler, a kubelet and what runs there.

A kubelet hears of its pods late, mounts their Secrets before it starts them, ends them gracefully and then says so. It
may be silent for a while: what runs goes on, and nothing is heard. The oracle is told of each start and end.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import orjson

from berth_agent import push as rules
from berth_agent.push import InForce
from berth_core import names
from berth_core.ids import instance_id
from berth_core.kube.types import Object
from berth_operator.kinds import PODS

from .cluster import LAB, Cluster, node_of
from .wire import Commit

if TYPE_CHECKING:
    from .jobs import BuildPods

OVER: Final = ("Succeeded", "Failed")


@dataclass
class Running:
    """The containers of one pod, which run."""

    uid: str
    name: str
    ip: str
    deployment: str
    epoch: int
    warm: bool
    hook: str
    holder: str
    """Public id of the instance whose they are; of a warm pod, the one that is bound with it, empty while none is."""
    in_force: InForce | None = None
    term: int = 0
    """Of the leader whose push is in force."""
    ruleset: str = ""
    keys: tuple[str, ...] = ()
    restarts: int = 0
    refused: frozenset[str] = frozenset()
    """Clients that its VPN does not let in."""
    build: tuple[str, int] | None = None
    """Public id and attempt of the build whose pod it is: it runs on the node of no machine, which is named ``""``."""


@dataclass
class Kubelet:
    """A pod as its kubelet knows it."""

    mounted: bool = False
    started: bool = False
    ending: bool = False
    heard_end: bool = False


@dataclass
class Nodes:
    """All nodes. ``changed`` is called with the deployment whenever something starts, ends or gets a holder there."""

    cluster: Cluster
    changed: Callable[[str], object]
    slowness: float = 1.0
    silent: set[str] = field(default_factory=set)
    """Deployments whose kubelet neither hears nor says anything."""
    hook_fails: float = 0.0
    build_pods: "BuildPods | None" = None
    """Behaviour of the pods of builds; None where nothing is built."""
    running: dict[str, Running] = field(default_factory=dict)
    _pods: dict[str, Kubelet] = field(default_factory=dict)
    _addresses: int = 0

    def __post_init__(self) -> None:
        self.cluster.store.listeners.append(self._commit)

    def at(self, ip: str, pod: str, epoch: int) -> Running | None:
        """Return what an agent's address leads to."""
        return next((p for p in self.running.values() if (p.ip, p.name, p.epoch) == (ip, pod, epoch)), None)

    def on(self, deployment: str) -> Iterable[Running]:
        """Return the pods that run on a machine."""
        return [pod for pod in self.running.values() if pod.deployment == deployment]

    def lose(self, uid: str) -> None:
        """The containers of a pod end by themselves: the node ran out of memory, or evicts it."""
        pod = self.running.get(uid)
        if pod is not None:
            self.stopped(uid)
            self.report(pod.name, uid, "Failed", {"terminated": {"exitCode": 137}}, reason="Evicted")

    def restart(self, uid: str) -> None:
        """The workspace of a pod ends and is started again; the agent and its ruleset stay."""
        pod = self.running.get(uid)
        if pod is not None and not pod.hook and pod.build is None:
            pod.restarts += 1
            self.cluster.say("node", "workspace restarted", pod.name)
            self.report(pod.name, uid, "Running", self._runs(), ip=pod.ip)

    def shut_down(self, deployment: str) -> None:
        """The machine's node is gone, with all that ran there; nobody says so."""
        for pod in list(self.on(deployment)):
            self.stopped(pod.uid)

    def collect_pods(self, deployment: str) -> None:
        """The pod collector takes what was bound to a node that is gone; an administrator attests that nothing runs."""
        for pod in self.cluster.store.all("pods", LAB):
            if pod["spec"].get("nodeName") != node_of(deployment) or pod["metadata"]["uid"] in self.running:
                continue
            name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
            if pod["status"].get("phase") not in ("Succeeded", "Failed"):
                collected = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
                status: Object = {"status": {"phase": "Failed", "conditions": [collected]}}
                self.cluster.write("PATCH", PODS, name, body=status, subresource="status", sender="podgc")
            body: Object = {"preconditions": {"uid": uid}, "gracePeriodSeconds": 0}
            self.cluster.write("DELETE", PODS, name, body=body, sender="podgc")
            self.cluster.later(2.0, 9.0, partial(self._attest, name, uid))

    def _attest(self, name: str, uid: str) -> None:
        """Say of a pod that nothing of it runs; of another one of its name nobody does."""
        found = self.cluster.store.find("pods", LAB, name)
        if found is not None and found["metadata"]["uid"] == uid:
            body: Object = {"metadata": {"annotations": {names.FORCED_ANNOTATION: "the machine is off"}}}
            self.cluster.write("PATCH", PODS, name, body=body)

    # ---- what a kubelet does

    def _later(self, least: float, most: float, event: Callable[[], object]) -> None:
        self.cluster.later(least * self.slowness, most * self.slowness, event)

    def _commit(self, commit: Commit) -> None:
        if commit.plural == "instances":
            self._lend(commit.object)
        if commit.plural == "pods":
            name, uid = commit.object["metadata"]["name"], commit.object["metadata"]["uid"]
            self._later(0.002, 0.05, lambda: self._sync(name, uid))

    def _lend(self, instance: Object) -> None:
        """Take note of the warm pod that an Instance is bound with."""
        for pod in self.running.values():
            if pod.warm and not pod.holder and _has(instance, pod.deployment, pod.epoch):
                pod.holder = instance_id(instance["metadata"]["name"], instance["metadata"]["uid"])
                self.changed(pod.deployment)

    def _sync(self, name: str, uid: str) -> None:
        """Look at a pod as the kubelet hears of it now, and take the next step."""
        known = self._pods.setdefault(uid, Kubelet())
        obj = self.cluster.store.find("pods", LAB, name)
        if obj is None or obj["metadata"]["uid"] != uid:
            known.heard_end = True
            if uid in self.running and not known.ending:
                known.ending = True
                self._later(0.05, 1.0, lambda: self.stopped(uid))
            return
        deployment = (obj["metadata"].get("labels") or {}).get(names.DEPLOYMENT_LABEL, "")
        if deployment in self.silent:
            self.cluster.later(0.3, 1.0, lambda: self._sync(name, uid))
            return
        phase = (obj.get("status") or {}).get("phase", "Pending")
        if obj["metadata"].get("deletionTimestamp"):
            self._delete(obj, phase, known)
        elif not obj["spec"].get("nodeName"):
            self._later(0.005, 0.2, lambda: self._bind(name, uid, deployment))
        elif phase == "Pending" and not known.mounted:
            self._mount(obj, known)

    def _bind(self, name: str, uid: str, deployment: str) -> None:
        obj = self._live(name, uid)
        if obj is None or obj["metadata"].get("deletionTimestamp") or obj["spec"].get("nodeName"):
            return
        if self.cluster.store.find("nodes", None, node_of(deployment)) is None:
            self.cluster.later(0.5, 1.5, lambda: self._bind(name, uid, deployment))
            return
        self.cluster.bind(name, node_of(deployment))

    def _mount(self, obj: Object, known: Kubelet) -> None:
        name, uid = obj["metadata"]["name"], obj["metadata"]["uid"]
        secrets = [v["secret"]["secretName"] for v in obj["spec"].get("volumes") or () if "secret" in v]
        found = [self.cluster.store.find("secrets", LAB, secret) for secret in secrets]
        if all(secret is not None for secret in found):
            known.mounted = True
            self._later(0.05, 0.6, lambda: self._start(name, uid, [s for s in found if s is not None]))
        else:
            self._later(0.3, 0.6, lambda: self._sync(name, uid))

    def _start(self, name: str, uid: str, secrets: list[Object]) -> None:
        known, obj = self._pods[uid], self._live(name, uid)
        if known.heard_end or known.started or obj is None:
            return
        labels = obj["metadata"].get("labels") or {}
        deployment = labels.get(names.DEPLOYMENT_LABEL, "")
        if deployment in self.silent:
            self.cluster.later(0.3, 1.0, lambda: self._start(name, uid, secrets))
            return
        known.started = True
        self._addresses += 1
        pod = Running(
            uid,
            name,
            f"10.0.{self._addresses // 250}.{self._addresses % 250 + 1}",
            deployment,
            int(labels.get(names.EPOCH_LABEL) or 0),
            names.WARM_LABEL in labels,
            labels.get(names.HOOK_LABEL, ""),
            labels.get(names.INSTANCE_LABEL, ""),
        )
        _begin_closed(pod, secrets)
        self.running[uid] = pod
        for instance in self.cluster.store.all("instances", LAB):
            self._lend(instance)
        self.cluster.say("node", "started", name, f"epoch {pod.epoch} on {deployment}")
        if self.build_pods is not None and names.BUILD_LABEL in labels:
            self.build_pods.begin(pod, obj)
            return
        self.changed(deployment)
        self.report(name, uid, "Running", self._runs(), ip=pod.ip)
        if pod.hook:
            self.cluster.later(0.1, 3.0, lambda: self._hook_ends(pod))

    def _hook_ends(self, pod: Running) -> None:
        if pod.uid not in self.running:
            return
        fails = self.cluster.world.random.random() < self.hook_fails
        self.stopped(pod.uid)
        self._end_report(pod, "Failed" if fails else "Succeeded", 1 if fails else 0)

    def _end_report(self, pod: Running, phase: str, code: int) -> None:
        if pod.deployment in self.silent:
            self.cluster.later(0.5, 1.5, lambda: self._end_report(pod, phase, code))
            return
        self.report(pod.name, pod.uid, phase, {"terminated": {"exitCode": code}})

    def _delete(self, obj: Object, phase: str, known: Kubelet) -> None:
        name, uid = obj["metadata"]["name"], obj["metadata"]["uid"]
        known.heard_end = True
        if not obj["spec"].get("nodeName"):
            return
        if phase not in OVER:
            if not known.ending:
                known.ending = True
                self._later(0.05, 1.2, lambda: self._end(name, uid))
        elif not obj["metadata"].get("finalizers"):
            body: Object = {"preconditions": {"uid": uid}, "gracePeriodSeconds": 0}
            self.cluster.write("DELETE", PODS, name, body=body, sender="kubelet")

    def _end(self, name: str, uid: str) -> None:
        self.stopped(uid)
        obj = self._live(name, uid)
        labels = (obj["metadata"].get("labels") or {}) if obj is not None else {}
        if labels.get(names.DEPLOYMENT_LABEL, "") in self.silent:
            self.cluster.later(0.5, 1.5, lambda: self._end(name, uid))
            return
        phase = "Failed" if names.BUILD_LABEL in labels else "Succeeded"
        self.report(name, uid, phase, {"terminated": {"exitCode": 0}})

    def stopped(self, uid: str) -> None:
        """The containers of a pod run no more."""
        pod = self.running.pop(uid, None)
        if pod is None:
            return
        self._pods[uid].heard_end = True
        self.cluster.say("node", "stopped", pod.name, f"epoch {pod.epoch} on {pod.deployment}")
        if self.build_pods is not None and pod.build is not None:
            self.build_pods.stopped(pod)
        else:
            self.changed(pod.deployment)

    def report(self, name: str, uid: str, phase: str, state: Object, *, ip: str = "", reason: str = "") -> None:
        """Write a pod's status as its kubelet does; ``state`` is that of all its containers, but of a build's."""
        obj = self._live(name, uid)
        if obj is None or (obj.get("status") or {}).get("phase") in OVER:
            return
        restarts = self.running[uid].restarts if uid in self.running else 0
        builds = self.build_pods if names.BUILD_LABEL in (obj["metadata"].get("labels") or {}) else None

        def of(group: str) -> list[Object]:
            return [
                {
                    "name": container["name"],
                    "state": builds.state(uid, container["name"], over=phase in OVER) if builds else state,
                    "restartCount": restarts if container["name"] == names.WORKSPACE_CONTAINER else 0,
                    "containerID": f"c-{uid[:8]}",
                }
                for container in obj["spec"].get(group) or ()
            ]

        status: Object = {
            "phase": phase,
            "initContainerStatuses": of("initContainers"),
            "containerStatuses": of("containers"),
        }
        status |= {key: value for key, value in (("podIP", ip), ("reason", reason)) if value}
        body: Object = {"status": status}
        self.cluster.write("PATCH", PODS, name, body=body, subresource="status", sender="kubelet")

    def _runs(self) -> Object:
        return {"running": {"startedAt": self.cluster.world.wall().strftime("%Y-%m-%dT%H:%M:%SZ")}}

    def _live(self, name: str, uid: str) -> Object | None:
        obj = self.cluster.store.find("pods", LAB, name)
        return obj if obj is not None and obj["metadata"]["uid"] == uid else None


def _has(instance: Object, deployment: str, epoch: int) -> bool:
    """Whether an Instance was bound with the warm pod of an epoch, and has not ended."""
    status = instance.get("status") or {}
    is_bound = status.get("warm") and not status.get("endTime")
    return bool(is_bound and (status["deployment"], status["epoch"]) == (deployment, epoch))


def _begin_closed(pod: Running, secrets: list[Object]) -> None:
    """Load what the agent's Secret says, before the workspace starts."""
    import base64

    for secret in secrets:
        if names.INITIAL_STATE_KEY in (secret.get("data") or {}):
            initial = orjson.loads(base64.b64decode(secret["data"][names.INITIAL_STATE_KEY]))
            pod.ruleset, pod.keys = initial["ruleset"], tuple(initial["authorizedKeys"])
            pod.in_force = rules.in_comment(pod.ruleset)
