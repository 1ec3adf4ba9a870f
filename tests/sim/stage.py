"""The stage of one history: the cluster, machines, two operators, two API processes, and the oracle."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from berth_core import ids
from berth_core.firewall import Rule, Sources, Tunnel, ip_blocks
from berth_core.kube.clock import StoreClock
from berth_core.kube.types import Kind, Object
from berth_core.resources import FirewallRule
from berth_core.trace.judge import Judge
from berth_core.trace.projection import project
from berth_core.vpn import DEVICE
from berth_operator.instances.firewall import desired
from berth_operator.kinds import DEPLOYMENTS, INSTANCES, RESERVATIONS, TYPES

from . import product
from .api import Api
from .cluster import LAB, TYPE, Cluster, add_node
from .lending import Lending
from .loops import Scheduler
from .network import Network
from .nodes import Nodes
from .operator import Operator
from .oracle import Oracle
from .part import Part
from .store.kinds import served
from .wire import Commit


@dataclass(frozen=True)
class Setting:
    """State in which a history begins."""

    deployments: int = 2
    operators: int = 2
    warm: bool = False
    hooks: tuple[str, ...] = ()
    """Of prepare, reset, healthCheck."""
    hook_fails: float = 0.0
    quota: int | None = None
    expire_after: int | None = None
    base: float = 0.004
    """Seconds that a message takes, about."""
    slow: float = 0.03
    slow_seconds: float = 0.5
    slowness: float = 1.0
    """Of kubelets."""
    exact: bool = False
    """Whether each lease has a NetworkPolicy of its own (`networkPolicy.sources: exact`)."""
    parts: tuple[str, ...] = ()
    """Names of parts (:mod:`tests.sim.parts`)."""

    def type_spec(self) -> Object:
        """Spec of the one type."""
        limits: Object = {}
        if self.quota is not None:
            limits["maxPerUser"] = self.quota
        if self.expire_after is not None:
            limits["defaultExpireAfter"] = self.expire_after
        hooks = {name: {"command": ["true"], "timeout": 20} for name in self.hooks}
        return {
            "typeName": TYPE,
            "template": {"image": "w:1"},
            "warm": self.warm,
            "limits": limits,
            **({"hooks": hooks} if hooks else {}),
        }


@dataclass
class Stage:
    """Everything that is there. Build it, let ``world`` run, look at ``cluster.violations``."""

    seed: str
    setting: Setting = field(default_factory=Setting)
    calm: bool = False
    """Whether nothing goes wrong, so that every request is answered."""

    def __post_init__(self) -> None:
        random.seed(self.seed + " product")
        self.world = Scheduler(self.seed)
        self.cluster = product.told = Cluster(self.world)
        self.oracle = Oracle(self.cluster, self.setting.quota, self.setting.slow_seconds)
        self.nodes = Nodes(self.cluster, self.oracle.judge, self.setting.slowness, hook_fails=self.setting.hook_fails)
        self.oracle.nodes = self.nodes
        Lending(self.cluster)
        self._court = Judge()
        self.cluster.store.listeners.append(self._traced)
        self.machines = [f"robot-{number}" for number in range(self.setting.deployments)]
        self.operators: list[Operator] = []
        self.apis: list[Api] = []
        self.started: list[Callable[[Operator | Api], object]] = []
        """Are told of each process that begins."""
        self.parts: dict[str, Part] = {}
        self.places: list[str] = []
        """Machines that have a node, ``""`` for the node of none."""
        self.specs: dict[str, Object] = {}
        """Spec of each machine for when it is made again."""
        self._numbers = 0
        self._replicas = 0
        self.made(TYPES, TYPE, self.setting.type_spec())
        for number, machine in enumerate(self.machines):
            self.add_node(machine, f"192.0.2.{number + 1}")
            self.specs[machine] = {"type": TYPE}
            self.made(DEPLOYMENTS, machine, self.specs[machine])

    def _traced(self, commit: Commit) -> None:
        """Have the judge of traces see a commit, as it sees those of real clusters."""
        told = project(commit.event, commit.plural, commit.object)
        for breach in self._court.see(told) if told is not None else ():
            self.cluster.violated(f"trace: a commit of {commit.plural} breaks the rule {breach.rule}")
            self.cluster.say("ORACLE", "trace", f"{commit.plural}/{breach.commit.name}", breach.message)

    def add_node(self, machine: str, address: str = "192.0.2.9") -> None:
        """Register the node of a machine; ``""`` is that of no machine."""
        add_node(self.cluster, machine, address)
        self.places.append(machine)

    # ---- processes

    def network(self) -> Network:
        """Return the way of one process."""
        own = self.setting
        return Network(self.world, self.cluster.handle, own.base, own.slow, own.slow_seconds)

    def operator(self) -> Operator:
        """Start an operator."""
        self._replicas += 1
        name = f"operator-{self._replicas}"
        more: dict[str, Any] = {"sources": Sources.EXACT if self.setting.exact else Sources.ANY}
        for part in self.parts.values():
            more |= part.OPERATOR
        made = Operator(self.cluster, self.nodes, name, self.network(), self.network(), self._operator_ended, more)
        self.operators.append(made)
        self._tell(made)
        return made

    def api(self, clock: StoreClock | None = None) -> Api:
        """Start an API process; ``clock`` is what it knows of the store's time, its own where there is none."""
        self._replicas += 1
        made = Api(self.cluster, f"api-{self._replicas}", self.network(), clock, builds="builds" in self.parts)
        self.apis.append(made)
        self._tell(made)
        return made

    def _tell(self, process: Operator | Api) -> None:
        for listener in self.started:
            listener(process)

    def kill(self, process: Operator | Api) -> None:
        """End a process at once."""
        self.cluster.say(process.name, "KILLED")
        self.world.kill(process.loop)
        if isinstance(process, Operator):
            self.operators.remove(process)
        else:
            self.apis.remove(process)

    def _operator_ended(self, operator: Operator) -> None:
        """The kubelet starts it anew."""
        if operator in self.operators:
            self.world.at(0.0, lambda: self.kill(operator))
            self.world.at(2.0, self.operator)

    def leader(self) -> Operator | None:
        """Return an operator that believes that it leads, and does not stand still."""
        return next((one for one in self.operators if one.leads and not one.loop.frozen), None)

    # ---- what people with kubectl do

    def number(self) -> int:
        """Return a number that was not used yet."""
        self._numbers += 1
        return self._numbers

    def made(self, kind: Kind, name: str, spec: Object, sender: str = "admin") -> bool:
        """Make an object; whether the store took it."""
        body = {
            "apiVersion": kind.api_version,
            "kind": served()[kind.plural].kind,
            "metadata": {"name": name, "namespace": LAB},
            "spec": spec,
        }
        response = self.cluster.write("POST", kind, None, body=body, sender=sender)
        if response.status >= 300 and sender == "admin":
            raise ValueError(f"{kind.plural} {name}: {response.body.get('message')}")
        return response.status < 300

    def instance(self, user: str, **more: Any) -> str:
        """Make an Instance with kubectl; its name."""
        name = f"k-{self.number()}"
        spec = {"workspaceType": TYPE, "user": user, "sshKeys": ["ssh-ed25519 AAAA k"], **more}
        self.made(INSTANCES, name, {"requesterAddress": "198.51.100.9", **spec})
        return name

    def reservation(self, user: str, priority: int = 0) -> str:
        """Make a Reservation with kubectl; its name."""
        name = f"r-{self.number()}"
        wanted = {"user": user, "workspaceType": TYPE, "sshKeys": ["ssh-ed25519 AAAA r"]}
        spec = {"user": user, "workspaceType": TYPE, "instance": wanted, "priority": priority}
        self.made(RESERVATIONS, name, spec)
        return name

    def end(self, name: str, *, delete: bool = False) -> None:
        """End an Instance with kubectl."""
        if delete:
            self.cluster.write("DELETE", INSTANCES, name, sender="kubectl")
        else:
            self.cluster.write("PATCH", INSTANCES, name, body={"spec": {"terminate": True}}, sender="kubectl")

    def release_quarantines(self) -> None:
        """Say that machines whose hooks have failed may be lent again."""
        for obj in self.cluster.store.all("workspacedeployments", LAB):
            status = obj.get("status") or {}
            if any(c["type"] == "Quarantined" and c["status"] == "True" for c in status.get("conditions") or ()):
                body: Object = {"spec": {"quarantineRelease": {"epoch": status.get("epoch", 1), "reason": "looked at"}}}
                self.cluster.write("PATCH", DEPLOYMENTS, obj["metadata"]["name"], body=body)

    def active(self, user: str | None = None) -> list[Object]:
        """Instances that have not begun to end."""
        return [
            obj
            for obj in self.cluster.store.all("instances", LAB)
            if user in (None, obj["spec"]["user"]) and not (obj.get("status") or {}).get("reason")
        ]

    def rules_digest(self, instance_id: str) -> str:
        """Digest of the ruleset that the rules of an instance come to."""
        body = desired.body(self._rules(instance_id), product.OPERATOR_ADDRESS, self._tunnel(instance_id))
        return desired.push(body, 1, 0, ()).digest

    def let_in(self, instance_id: str) -> set[str]:
        """Networks that the rules of an instance come to."""
        blocks = ip_blocks(self._rules(instance_id))
        return {str(network) for block in blocks for network in (block.cidr, *block.except_)}

    def _rules(self, instance_id: str) -> list[Rule]:
        found = [FirewallRule.parse(o) for o in self.cluster.store.all("firewallrules", LAB)]
        return desired.compiled(desired.ordered([rule for rule in found if rule.spec.instance == instance_id]))

    def _tunnel(self, instance_id: str) -> Tunnel | None:
        """Return what the ruleset of an instance with a VPN lets through."""
        part = self.parts.get("tunnels")
        found = (
            o for o in self.active() if ids.instance_id(o["metadata"]["name"], o["metadata"]["uid"]) == instance_id
        )
        if part is None or not any(obj["spec"].get("vpn") for obj in found):
            return None
        return Tunnel(DEVICE, part.OPERATOR["vpn"].tunnel.network)

    def call(
        self,
        api: Api,
        path: str,
        user: str,
        body: Mapping[str, Any],
        told: Callable[[int, dict[str, Any]], object],
        key: str = "",
    ) -> None:
        """Send a request over the network to an API process."""
        self.world.at(0.002, lambda: api.call(path, user, dict(body), key, told))
