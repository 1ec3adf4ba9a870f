"""The containers of a build's pods, played as a kubelet starts and ends them, and what they have printed.

A pod of the step ``fetch`` reports a commit. One of the step ``run`` checks it out and runs the script; where the build
has a machine, the script waits at its door until the machine's firewall lets it in.
"""

import re
from dataclasses import dataclass, field
from typing import Final

import orjson

from berth_core import names
from berth_core.ids import instance_id
from berth_core.kube.types import Object

from .cluster import LAB, Cluster
from .nodes import Nodes, Running
from .wire import Request, Response

COMMIT: Final = "ab" * 20
KNOCK_SECONDS: Final = 0.4
TIMEOUTS: Final = (6, 60, 600)
KILLED: Final = 137


@dataclass
class Script:
    """The outcome of the script of one attempt at a build, in truth."""

    began: float
    code: int | None = None
    """None while it runs."""
    ended: float = 0.0
    outside: bool = False
    """Whether it waits until its machine lets it in."""


@dataclass
class BuildPods:
    """The pods of builds that run. ``scripts`` are by build (public id) and attempt."""

    cluster: Cluster
    nodes: Nodes
    scripts: dict[tuple[str, int], Script] = field(default_factory=dict)
    _states: dict[str, dict[str, Object]] = field(default_factory=dict)
    """Of containers, by the pod's uid and the container's name."""

    def __post_init__(self) -> None:
        self.nodes.build_pods = self
        self.cluster.logs = self.log

    # ---- what nodes ask

    def begin(self, pod: Running, obj: Object) -> None:
        """Start the first container of a pod."""
        labels = obj["metadata"]["labels"]
        pod.build = labels[names.BUILD_LABEL], int(labels[names.ATTEMPT_LABEL])
        self._states[pod.uid] = {}
        if labels[names.STEP_LABEL] == names.FETCH_STEP:
            self._runs(pod, names.FETCH_CONTAINER)
            self.cluster.later(0.1, 3.0, lambda: self._fetched(pod))
        else:
            machine = "BERTH_HOST_KEYS" in {one["name"] for one in obj["spec"]["initContainers"][0]["env"]}
            self._runs(pod, names.CHECKOUT_CONTAINER)
            self.cluster.later(0.1, 1.5, lambda: self._checked_out(pod, machine=machine))

    def state(self, uid: str, container: str, *, over: bool) -> Object:
        """State of a container as a kubelet reports it; ``over`` where its pod runs no more."""
        state = self._states.get(uid, {}).get(container)
        if state is None:
            return {"waiting": {"reason": "PodInitializing"}}
        if over and "running" in state:
            state = self._states[uid][container] = self._ended(state, KILLED)
        return state

    def stopped(self, pod: Running) -> None:
        """Take note that a pod runs no more: a script that ran was killed."""
        script = self.scripts.get(_of(pod))
        if script is not None and script.code is None and names.SCRIPT_CONTAINER in self._states[pod.uid]:
            script.code, script.ended = KILLED, self.cluster.world.now

    def log(self, request: Request) -> Response:
        """Answer for a container's log, as the kubelet of its node does."""
        name, container = request.path.split("/")[-2], request.query["container"]
        obj = self.cluster.store.find("pods", LAB, name)
        if obj is None:
            return _refused(404, "NotFound", f'pods "{name}" not found')
        if container not in self._states.get(obj["metadata"]["uid"], {}):
            return _refused(400, "BadRequest", f'container "{container}" in pod "{name}" is waiting to start')
        if "" in self.nodes.silent:
            return _refused(500, "InternalError", "dial tcp: no route to host")
        return Response(200, {"log": '{"size": 0}' if container == names.ARTIFACTS_CONTAINER else f"{container}\n"})

    # ---- what runs in them

    def _fetched(self, pod: Running) -> None:
        draw = self.cluster.world.random
        report: Object = {"commit": COMMIT, "image": "it:1", "timeout": draw.choice(TIMEOUTS), "workspace": None}
        if draw.random() < 0.8 and self.cluster.store.all("workspacedeployments", LAB):
            report["workspace"] = "bench"
        told, code = orjson.dumps(report).decode(), 0
        if draw.random() < 0.08:
            told, code = draw.choice(('{"error": "NoSuchBranch", "message": "no such branch"}', "")), 1
        self._end_pod(pod, names.FETCH_CONTAINER, code, told)

    def _checked_out(self, pod: Running, *, machine: bool) -> None:
        if pod.uid not in self.nodes.running:
            return
        if self.cluster.world.random.random() < 0.05:
            self._end_pod(pod, names.CHECKOUT_CONTAINER, 1, "")
            return
        self._set(pod, names.CHECKOUT_CONTAINER, self._ended(self._states[pod.uid][names.CHECKOUT_CONTAINER], 0))
        if _of(pod) in self.scripts:
            self.cluster.violated("builds: the script of one attempt was started twice")
        self.scripts[_of(pod)] = Script(self.cluster.world.now)
        self.cluster.say("node", "script starts", pod.name)
        self._set(pod, names.ARTIFACTS_CONTAINER, {"running": self._now("startedAt")})
        self._runs(pod, names.SCRIPT_CONTAINER)
        if machine:
            self._knock(pod)
        else:
            self._work(pod)

    def _knock(self, pod: Running) -> None:
        """Wait until the machine lets the script in; nobody else's does."""
        if pod.uid not in self.nodes.running:
            return
        own = names.build_object(*_of(pod))
        source = re.compile(rf"(?<![\d.]){re.escape(pod.ip)}(?![\d.])")
        doors = [other for other in self.nodes.running.values() if source.search(other.ruleset)]
        if any(self._name_of(other.holder) != own for other in doors):
            self.cluster.violated("I7: the script of a build is let in by a machine that is not its own")
        self.scripts[_of(pod)].outside = not doors
        if doors:
            self._work(pod)
        else:
            self.cluster.later(KNOCK_SECONDS, 2 * KNOCK_SECONDS, lambda: self._knock(pod))

    def _name_of(self, public_id: str) -> str:
        """Name of an Instance by its public id."""
        found = (obj["metadata"] for obj in self.cluster.store.all("instances", LAB))
        return next((str(m["name"]) for m in found if instance_id(m["name"], m["uid"]) == public_id), "")

    def _work(self, pod: Running) -> None:
        if self.cluster.world.random.random() < 0.85:  # the others go on until their time is up
            self.cluster.later(0.3, 9.0, lambda: self._script_ends(pod))

    def _script_ends(self, pod: Running) -> None:
        if pod.uid not in self.nodes.running:
            return
        code = int(self.cluster.world.random.random() < 0.2)
        script = self.scripts[_of(pod)]
        script.code, script.ended = code, self.cluster.world.now
        self._set(pod, names.SCRIPT_CONTAINER, self._ended(self._states[pod.uid][names.SCRIPT_CONTAINER], code))
        self._say(pod, "Running")
        self.cluster.later(0.05, 1.0, lambda: self._end_pod(pod, names.ARTIFACTS_CONTAINER, 0, "", failed=bool(code)))

    # ---- how it is told

    def _end_pod(self, pod: Running, container: str, code: int, message: str, *, failed: bool = False) -> None:
        if pod.uid not in self.nodes.running:
            return
        self._set(pod, container, self._ended(self._states[pod.uid][container], code, message))
        self.nodes.stopped(pod.uid)
        self._say(pod, "Failed" if code or failed else "Succeeded")

    def _runs(self, pod: Running, container: str) -> None:
        self._set(pod, container, {"running": self._now("startedAt")})
        self._say(pod, "Running")

    def _set(self, pod: Running, container: str, state: Object) -> None:
        self._states[pod.uid][container] = state

    def _say(self, pod: Running, phase: str) -> None:
        """Report a pod, later where its node is silent."""
        if pod.deployment in self.nodes.silent:
            self.cluster.later(0.5, 1.5, lambda: self._say(pod, phase))
        else:
            self.nodes.report(pod.name, pod.uid, phase, {}, ip=pod.ip)

    def _ended(self, running: Object, code: int, message: str = "") -> Object:
        times = running["running"] | self._now("finishedAt")
        return {
            "terminated": times | {"exitCode": code, "message": message, "reason": "Error" if code else "Completed"}
        }

    def _now(self, name: str) -> Object:
        return {name: self.cluster.world.wall().strftime("%Y-%m-%dT%H:%M:%SZ")}


def _of(pod: Running) -> tuple[str, int]:
    """Build and attempt of a pod."""
    if pod.build is None:
        raise ValueError(f"{pod.name} is of no build")
    return pod.build


def _refused(status: int, reason: str, message: str) -> Response:
    return Response(status, {"kind": "Status", "code": status, "reason": reason, "message": message})
