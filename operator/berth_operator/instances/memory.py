"""State of running instances that this process knows and no resource holds.

Acknowledgements of agents and results of probes are lost at a restart, and found out by pushing and probing again.
"""

import asyncio
from collections.abc import Container
from dataclasses import dataclass, field
from datetime import datetime

from berth_core.kube.types import Object
from berth_core.resources import FirewallRule
from berth_core.resources.instance import InForce
from berth_operator.engine.world import TermState
from berth_operator.pods.view import PodView

Incarnation = tuple[str, int]
"""(uid of the pod, how often the container was restarted): one life of a container."""


@dataclass
class VpnMemory:
    """Of the VPN of one instance."""

    container: Incarnation | None = None
    """Which server ``ready`` speaks of."""
    ready: bool | None = None
    problem: str = ""
    refused: frozenset[str] = frozenset()
    """Clients that the agent of the present pod refuses for sure."""
    question: asyncio.Task[None] | None = None
    retry_at: float = 0.0
    """On the monotonic clock: nothing is asked or told before."""
    failures: int = 0

    @property
    def asking(self) -> bool:
        """Whether an answer is awaited."""
        return self.question is not None and not self.question.done()

    def meet(self, pod: PodView | None, *, other_pod: bool) -> None:
        """Take note of the pod: another server has to be asked again, another pod's agent knows no revoked client."""
        container = (pod.uid, pod.vpn.restarts) if pod is not None and pod.vpn.state == "running" else None
        if container != self.container:
            self.stop()
            self.container, self.ready, self.problem, self.retry_at = container, None, "", 0.0
        if other_pod:
            self.refused = frozenset()

    def stop(self) -> None:
        """End a question that is under way."""
        if self.question is not None:
            self.question.cancel()
            self.question = None


@dataclass
class Memory:
    """Of one instance. Changed only by the pass over that instance, and by its one probe."""

    rules: list[FirewallRule] | None = None
    """Its rules, as of one moment; None when they must be read again."""
    rules_changed: int = 0
    """How often something was heard of its rules: a list that was asked for before that may be older."""
    rules_heard: int = 0
    """The newest resourceVersion among that."""
    agent: Incarnation | None = None
    """Which agent the next seven fields speak of."""
    acknowledged: InForce | None = None
    """The last of what was pushed that it said it has in force."""
    keys: str = ""
    notice: str = ""
    machine_notice: str = ""
    failures: int = 0
    error: str = ""
    sent: InForce | None = None
    """The last that was pushed to the pod, answered or not: what got no answer may still come into force."""
    workspace: Incarnation | None = None
    """Which workspace container ``listening`` speaks of."""
    first_met: bool = False
    """No other workspace container of it was known before that."""
    listening: bool | None = None
    path: bool | None = None
    """Whether packets to the announced address arrive; False where that cannot be known, None while it is tried."""
    refused_since: float | None = None
    """Since when they are refused, on the monotonic clock; None where they are not."""
    probe: asyncio.Task[None] | None = None
    vpn: VpnMemory = field(default_factory=VpnMemory)
    policy: str = ""
    """Digest of the NetworkPolicy that was applied last, its own or its type's."""
    policy_name: str = ""
    """Of its own; empty where that of its type holds its pod."""
    policy_generation: int = 0
    """Its ``metadata.generation`` then."""
    policy_version: int = 0
    """Its resourceVersion then: a list that shows an older one was asked for before."""
    ranges: list[str] | None = None
    """Source ranges that its load balancer was given last; None where it was given none."""
    found: bool = False
    """It was opened before this process led: its objects are read before they are written anew."""
    pod_uid: str = ""
    pod_ip: str = ""
    pod_created: datetime | None = None
    pod_ended: datetime | None = None
    image_error_since: datetime | None = None
    ending_since: float | None = None
    ping: datetime | None = None
    """The last keep-alive ping that was read."""
    hooks: bool = False
    """A Job, a pod or a Secret of some hook of it is, or was, there."""
    warned: str = ""
    """The notice that an Event tells of."""
    cleared: bool = False
    """All objects known by name were deleted once."""
    nonces: dict[str, str] = field(default_factory=dict)
    """Of Secrets that are being made, and that no status names yet: of hooks by name, of its pod by ""."""

    def meet(self, pod: PodView | None, now: datetime) -> None:
        """Take note of the pod; drop state of another pod, or of earlier lives of its containers."""
        other_pod = pod is None or pod.uid != self.pod_uid
        self.vpn.meet(pod, other_pod=other_pod)
        if pod is None:
            if self.pod_created is not None and self.pod_ended is None:
                self.pod_ended = now
            self._forget_agent(None)
            self._forget_workspace(None)
            return
        if pod.uid != self.pod_uid:
            self.pod_uid, self.pod_created, self.pod_ended = pod.uid, pod.created, None
        if other_pod or pod.ip != self.pod_ip:  # a sandbox that is made again under its pod has another address
            self.pod_ip, self.path, self.refused_since = pod.ip, None, None
        if other_pod:
            self.sent = None
        agent, workspace = (pod.uid, pod.agent.restarts), (pod.uid, pod.workspace.restarts)
        if agent != self.agent:
            self._forget_agent(agent)
        if workspace != self.workspace or pod.workspace.state == "terminated":
            self._forget_workspace(workspace)

    def outdate_rules(self, version: int) -> None:
        """Take note that a rule was made, changed or deleted, and of its resourceVersion."""
        self.rules = None
        self.rules_changed += 1
        self.rules_heard = max(self.rules_heard, version)

    def presume_rules(self, ours: list[FirewallRule], events: list[Object], changed: int) -> None:
        """Take rules that were just made for all that there are, unless news since ``changed`` tells of more."""
        if events:
            versions = [(obj["metadata"]["name"], obj["metadata"]["resourceVersion"]) for obj in events]
            certain = versions == [_version(rule) for rule in ours]
        else:
            certain = self.rules_changed == changed
        if certain:
            self.rules = ours

    def knows_rule(self, name: str, version: str) -> bool:
        """Whether a rule is known in this version already: news of it is none."""
        return any(_version(rule) == (name, version) for rule in self.rules or ())

    def keep_rule(self, answer: FirewallRule) -> None:
        """Take over a rule as a write of ours left it; where others changed something, rules are read again."""
        if self.rules is not None:
            self.rules = [answer if _is_older(rule, answer) else rule for rule in self.rules]

    @property
    def in_force(self) -> InForce | None:
        """Return the state that the agent surely has, with no other push on its way."""
        return self.acknowledged if self.acknowledged == self.sent else None

    @property
    def held_by_type(self) -> bool:
        """Whether it surely has no NetworkPolicy of its own: that of its type holds its pod, and no hook ran."""
        return bool(self.policy) and not self.policy_name and not self.hooks

    def outdate_policy(self) -> None:
        """Take note that its NetworkPolicy, desired and present, is unknown: the next pass pushes and applies."""
        self.policy, self.ranges, self.acknowledged = "", None, None

    def stop_probe(self) -> None:
        """End a probe that runs."""
        if self.probe is not None:
            self.probe.cancel()
            self.probe = None

    def stop(self) -> None:
        """End tasks that run for it."""
        self.stop_probe()
        self.vpn.stop()

    @property
    def probing(self) -> bool:
        """Whether a probe runs."""
        return self.probe is not None and not self.probe.done()

    def _forget_agent(self, agent: Incarnation | None) -> None:
        self.agent, self.acknowledged, self.keys = agent, None, ""
        self.notice = self.machine_notice = ""
        self.failures, self.error = 0, ""
        self.stop_probe()

    def _forget_workspace(self, workspace: Incarnation | None) -> None:
        self.first_met = self.workspace is None and workspace is not None
        self.workspace, self.listening = workspace, None
        self.stop_probe()


def _version(rule: FirewallRule) -> tuple[str, str]:
    return rule.metadata.name, rule.metadata.resource_version


def _is_older(rule: FirewallRule, other: FirewallRule) -> bool:
    one, two = rule.metadata, other.metadata
    return one.name == two.name and int(one.resource_version) < int(two.resource_version)


@dataclass
class Memories(TermState):
    """Memories of all instances, by namespace and public id."""

    by_id: dict[tuple[str, str], Memory] = field(default_factory=dict)

    def of(self, namespace: str, instance_id: str) -> Memory:
        """Return the memory of one instance; a new one where there is none."""
        return self.by_id.setdefault((namespace, instance_id), Memory())

    def known(self, namespace: str, instance_id: str) -> Memory | None:
        """Return the memory of one instance, or None."""
        return self.by_id.get((namespace, instance_id))

    def forget(self, namespace: str, instance_id: str) -> None:
        """Drop what is known of an instance that has ended."""
        memory = self.by_id.pop((namespace, instance_id), None)
        if memory is not None:
            memory.stop()

    def retain(self, living: Container[tuple[str, str]]) -> None:
        """Drop what is known of instances that are not among those that live: late news, and passes, bring it back."""
        for of in [of for of in self.by_id if of not in living]:
            self.forget(*of)

    def outdate_policies(self) -> None:
        """Take note that every NetworkPolicy of a single lease would be made differently now."""
        for memory in self.by_id.values():
            if memory.policy_name:
                memory.outdate_policy()

    def outdate_pushes(self) -> None:
        """Take note that an agent may hold something else than it acknowledged last: the next pass pushes again."""
        for memory in self.by_id.values():
            memory.acknowledged = None

    def clear(self) -> None:
        """Drop everything: another process leads."""
        for memory in self.by_id.values():
            memory.stop()
        self.by_id.clear()
