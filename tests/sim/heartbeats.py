"""Machines that show that they are there, by a Lease that they renew or by their Node. Some fall silent."""

from typing import Final

from berth_core import names
from berth_core.kube.types import Object
from berth_operator.kinds import DEPLOYMENTS, LEASES

from .cluster import LAB, node_of, say_ready
from .part import Part
from .plan import Event
from .stage import Stage
from .users import Users
from .wire import Commit

RENEWED_SECONDS: Final = 2.0
LIMIT_SECONDS: Final = 6
NOTICED_SECONDS: Final = 8.0
"""An undisturbed operator needs at most so long to say that a machine is silent, beside the limit."""
SETTLED_SECONDS: Final = 30.0
"""The same where another operator has just begun to lead."""
LEASE: Final = "lease"
NODE: Final = "node"


class Heartbeats(Part):
    """The machines of a history, each with one of the two ways."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._ways: dict[str, str] = {}
        self._heard: dict[str, float] = {}
        """When a machine was last heard of."""
        self._silent: dict[str, float] = {}
        """Machines that are silent, and since when."""
        self._unready: dict[str, float] = {}
        """Nodes that are not Ready, or not there, and since when: faults of nodes do that too."""
        for machine in stage.machines:
            way = self._ways[machine] = stage.world.random.choice((LEASE, LEASE, NODE))
            more: Object = {"heartbeat": way}
            if way == NODE:
                more["overrides"] = {"nodeSelector": {"machine": machine}}
            stage.specs[machine] |= more
            stage.cluster.write("PATCH", DEPLOYMENTS, machine, body={"spec": more})
            if way == LEASE:
                self._begin(machine)
        stage.cluster.store.listeners.append(self._commit)

    def _begin(self, machine: str) -> None:
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": machine, "namespace": LAB, "labels": {names.HEARTBEAT_LABEL: "true"}},
            "spec": {"leaseDurationSeconds": LIMIT_SECONDS},
        }
        self.stage.cluster.write("POST", LEASES, None, body=body, sender="machine")
        self.stage.world.at(self.stage.world.random.uniform(0.0, RENEWED_SECONDS), lambda: self._renew(machine))

    def _renew(self, machine: str) -> None:
        stage = self.stage
        if machine not in self._silent:
            self._heard[machine] = stage.world.now
            time = stage.world.wall().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            stage.cluster.write("PATCH", LEASES, machine, body={"spec": {"renewTime": time}}, sender="machine")
        stage.world.at(RENEWED_SECONDS, lambda: self._renew(machine))

    # ---- what happens to them

    def hush(self, _: Users, event: Event) -> None:
        """A machine falls silent, for a while or until the end."""
        machine = self.stage.machines[int(event.chance * len(self.stage.machines))]
        if machine in self._silent:
            return
        since = self._silent[machine] = self.stage.world.now
        self.stage.cluster.say("machine", "is silent", machine)
        if self._ways[machine] == NODE:
            say_ready(self.stage.cluster, machine, "False")
        if event.other < 0.75:
            self.stage.world.at(event.length * 4, lambda: self._speak(machine, since))

    def _speak(self, machine: str, since: float) -> None:
        if self._silent.get(machine) != since:
            return
        del self._silent[machine]
        self.stage.cluster.say("machine", "is heard", machine)
        if self._ways[machine] == NODE:
            say_ready(self.stage.cluster, machine, "True")

    # ---- what must hold

    def _commit(self, commit: Commit) -> None:
        if commit.plural == "nodes":
            name = commit.object["metadata"]["name"]
            told = (commit.object.get("status") or {}).get("conditions") or ()
            if commit.event != "DELETED" and any(c["type"] == "Ready" and c["status"] == "True" for c in told):
                self._unready.pop(name, None)
            else:
                self._unready.setdefault(name, self.stage.world.now)
        if commit.plural != "workspacedeployments" or commit.event != "MODIFIED" or commit.before is None:
            return
        lease = (commit.object.get("status") or {}).get("lease")
        if not lease or (commit.before.get("status") or {}).get("lease"):
            return
        # Where something goes wrong an operator may be late; then what the machine's condition says counts (lending).
        silence = self._silence(commit.object["metadata"]["name"])
        if self.stage.calm and silence > LIMIT_SECONDS + NOTICED_SECONDS:
            self.stage.cluster.violated("heartbeats: a machine was lent that is silent")

    def _silence(self, machine: str) -> float:
        """Seconds since which a machine is silent; 0 where it is heard."""
        if self._ways[machine] == NODE:
            since = self._unready.get(node_of(machine))
        else:
            since = self._heard.get(machine, 0.0) if machine in self._silent else None
        return self.stage.world.now - since if since is not None else 0.0

    def at_peace(self) -> None:
        for obj in self.stage.cluster.store.all("workspacedeployments", LAB):
            machine = obj["metadata"]["name"]
            told = {c["type"]: c["status"] for c in (obj.get("status") or {}).get("conditions") or ()}
            silence = self._silence(machine)
            if silence > LIMIT_SECONDS + SETTLED_SECONDS and told.get("Online") != "False":
                self.stage.cluster.violated("heartbeats: a machine that is silent counts as online")
            if not silence and told.get("Online") != "True":
                self.stage.cluster.violated("heartbeats: a machine that is heard counts as offline")

    def finish(self) -> None:
        for machine, since in list(self._silent.items()):
            self._speak(machine, since)
