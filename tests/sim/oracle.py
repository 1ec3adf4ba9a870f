"""The oracle: looks at every commit and at each start and end of containers, and knows what clients were told.

It is incremental: a commit costs what it changes. The invariants I1 to I8 are those of
docs/explanation/exclusive-lease.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from berth_core import names
from berth_core.ids import instance_id, turn_instance
from berth_core.kube.types import Object
from berth_core.leases.availability import availability
from berth_core.leases.slots import KEPT_SECONDS
from berth_core.resources import WorkspaceDeployment
from berth_operator.sweeps.stale_writes import AGAIN_SECONDS

from .cluster import LAB, TYPE, Cluster
from .nodes import Nodes
from .queue import CLEARLY_SECONDS, Queue
from .remains import Remains
from .wire import Commit

TYPE_WALL: Final = names.type_policy(TYPE)
"""Name of the NetworkPolicy that holds all pods of the one type."""
SWEPT_SECONDS: Final = AGAIN_SECONDS + 5
"""After so long a sweep has seen what came late: by a request that was held, or that of a paused process."""


@dataclass
class Held:
    """A deployment's status as it was last."""

    lease: Object | None = None
    epoch: int = 0
    since: float = 0.0
    """When the lease was taken or given back."""


@dataclass
class Oracle:
    """Judges one history."""

    cluster: Cluster
    quota: int | None = None
    """Most instances of one user. A lease counts once its Instance may use it: a former leader that stood still may
    take one beyond that, or a second one for the same waiter, and neither may come into use."""
    slow_seconds: float = 0.0
    """How long one request may take."""
    nodes: Nodes = field(init=False)
    leases: int = 0
    ready: int = 0
    """Instances that were ready."""
    held: dict[str, Held] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    promised: dict[str, str] = field(default_factory=dict)
    """Instances (public ids) of which a client was told, with the user."""
    reserved: set[str] = field(default_factory=set)
    """Reservations of which a client was told."""
    given_up: set[str] = field(default_factory=set)
    """Instances that somebody asked to end, and reservations."""
    used: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Deployment and epoch that an instance (public id) has claimed, or was bound to, until it has ended."""
    gave_back: dict[str, float] = field(default_factory=dict)
    """When each user last had a lease."""
    slots_since: dict[str, float] = field(default_factory=dict)
    """Since when each user has slots, of those who have some."""
    dropped_a_slot: dict[str, float] = field(default_factory=dict)
    """When the operator last dropped the last of a user's slots since its taker was gone."""
    ruled: dict[str, float] = field(default_factory=dict)
    """When a firewall rule of each instance (public id) was last made or deleted."""
    walled: dict[str, float] = field(default_factory=dict)
    """When each NetworkPolicy was written last, by its name."""
    shut_out: Callable[[], set[str]] = set
    """Users who may not have each machine."""
    queue: Queue = field(init=False)
    _by_key: dict[str, str] = field(default_factory=dict)
    """Uids of instances by the Idempotency-Key that made them."""
    _remains: Remains = field(init=False)

    def __post_init__(self) -> None:
        self.queue, self._remains = Queue(self.cluster), Remains(self.cluster)
        self.cluster.store.listeners.append(self.commit)

    # ---- commits

    def commit(self, commit: Commit) -> None:
        """Look at one commit."""
        plural = commit.plural
        self._remains.commit(commit)
        if plural == "workspacedeployments":
            self._deployment(commit)
        elif plural == "instances":
            self._instance(commit)
            self.queue.commit(commit)
        elif plural == "reservations":
            self.queue.commit(commit)
            self._reservation(commit)
        elif plural == "accounts":
            self._account(commit)
        elif plural == "pods":
            self._pod(commit)
        elif plural == "networkpolicies":
            self._wall(commit.object["metadata"]["name"], gone=commit.event == "DELETED")
        elif plural == "firewallrules" and commit.event != "MODIFIED":
            self.ruled[commit.object["spec"]["instance"]] = self.cluster.world.now
        self._say(commit)

    def _wall(self, name: str, *, gone: bool) -> None:
        self.walled[name] = self.cluster.world.now
        held = (pod.name for pod in self.nodes.running.values() if name in (pod.name, TYPE_WALL) and not pod.hook)
        if gone and any(held):
            self.cluster.violated("I7: the NetworkPolicy of a pod that runs was deleted")

    def _pod(self, commit: Commit) -> None:
        """No operator deletes a pod that runs for an instance which goes on."""
        metadata, before = commit.object["metadata"], (commit.before or {}).get("metadata") or {}
        sender = commit.request.sender if commit.request is not None else ""
        pod = self.nodes.running.get(metadata["uid"])
        asked = metadata.get("deletionTimestamp") or commit.event == "DELETED"
        if pod is None or not pod.warm or not sender.startswith("operator-") or not asked:
            return
        phase = (commit.object.get("status") or {}).get("phase")
        if not before.get("deletionTimestamp") and phase == "Running" and self._goes_on(pod.holder):
            self.cluster.violated("promise: a warm pod was deleted while its holder used it")

    def _goes_on(self, public_id: str) -> bool:
        """Whether an instance is there and does not end."""
        found = (obj for obj in self.cluster.store.all("instances", LAB) if public_id == _public_id(obj))
        return any(not (obj.get("status") or {}).get("reason") for obj in found)

    def _deployment(self, commit: Commit) -> None:
        name = commit.object["metadata"]["name"]
        before = self.held.get(name) or Held()
        if commit.event == "DELETED":
            if before.lease is not None:
                self.cluster.violated(f"I1: deployment {name} is deleted while somebody has it")
            self.held.pop(name, None)
            self.judge(name)
            return
        status = commit.object.get("status") or {}
        now = self.held[name] = Held(status.get("lease"), int(status.get("epoch") or 0), before.since)
        if now.lease != before.lease or now.epoch != before.epoch:
            now.since = self.cluster.world.now
            self._passed_on(name, before, now, commit)
            self.judge(name)

    def _passed_on(self, name: str, before: Held, now: Held, commit: Commit) -> None:
        if now.lease is not None and before.lease is None:
            self.leases += 1
            if now.epoch != before.epoch + 1:
                self.cluster.violated(f"I1: {name} was taken at epoch {now.epoch} after {before.epoch}")
            self._is_new(name, now.epoch, now.lease["instance"])
            user = now.lease["user"]
            self._count(user)
            if not any(self._can_be_had(other) for other in self.held):
                holders = {held.lease["instance"] for held in self.held.values() if held.lease is not None}
                self.queue.took(now.lease["instance"], user, self.able(), holders)
        elif now.lease is not None and before.lease is not None and now.lease["instance"] != before.lease["instance"]:
            self.cluster.violated(f"I1: the lease of {name} passed from hand to hand")
        elif now.epoch < before.epoch:
            self.cluster.violated(f"I1: the epoch of {name} shrank")
        if before.lease is not None and now.lease is None:
            self.gave_back[before.lease["user"]] = self.cluster.world.now
            giver = commit.request.sender if commit.request is not None else ""
            if left := self._remains.of(name, before.epoch):
                kinds = sorted({plural for plural, _ in left})
                who = giver.partition("-")[0] or "the store"
                warm = " (warm)" if all(what.startswith("w-") for _, what in left) else ""
                self.cluster.violated(f"I2: {who} gave a lease back while {kinds} of its epoch are there{warm}")

    def _is_new(self, deployment: str, epoch: int, holder: str) -> None:
        """Judge an epoch that begins: no Instance has had it, also of an earlier deployment of the name."""
        for obj in self.cluster.store.all("instances", LAB):
            status, metadata = obj.get("status") or {}, obj["metadata"]
            had = status if status.get("epoch") else obj["spec"].get("claim") or {}
            if (had.get("deployment"), had.get("epoch")) == (deployment, epoch):
                if instance_id(metadata["name"], metadata["uid"]) != holder:
                    self.cluster.violated(f"I1: an epoch of {deployment} was used twice")

    def _can_be_had(self, deployment: str) -> bool:
        """Whether somebody may take it now."""
        found = self.cluster.store.find("workspacedeployments", LAB, deployment)
        now = self.cluster.world.wall()
        return found is not None and availability(WorkspaceDeployment.parse(found), now=now).status == "True"

    def _count(self, user: str) -> None:
        """Judge how many leases of a user's are in use."""
        if self.quota is not None:
            own = {
                name: held for name, held in self.held.items() if held.lease is not None and held.lease["user"] == user
            }
            has = sum(self.is_used(name, held) for name, held in own.items())
            if has > self.quota:
                self.cluster.violated(f"quota: a user has {has} of {self.quota}")

    def is_used(self, deployment: str, held: Held) -> bool:
        """Whether the Instance that a lease is for may use it."""
        return held.lease is not None and self.used.get(held.lease["instance"]) == (deployment, held.epoch)

    def able(self) -> set[str]:
        """Users who wait and surely may have another one: where there is a quota, who has none and takes none.

        One who had a lease a moment ago may have been asked for when that still counted.
        """
        users = {waiter.user for waiter in self.queue.waiting.values()} - self.shut_out()
        if self.quota is None:
            return users
        busy = {held.lease["user"] for held in self.held.values() if held.lease is not None}
        lately = self.cluster.world.now - CLEARLY_SECONDS - 2 * self.slow_seconds  # it asks several times for the next
        busy |= {user for user, at in (*self.gave_back.items(), *self.dropped_a_slot.items()) if at > lately}
        return users - busy - self.slots_since.keys() - {user for user, _ in self.queue.calls.values()}

    def _account(self, commit: Commit) -> None:
        """Take note of slots that are dropped since their taker is gone: a pass under way may have seen one."""
        user, now = commit.object["spec"]["user"], self.cluster.world.now
        if commit.event != "DELETED" and (commit.object.get("status") or {}).get("slots"):
            self.slots_since.setdefault(user, now)
        elif self.slots_since.pop(user, now) + KEPT_SECONDS <= now:
            self.dropped_a_slot[user] = now

    def _reservation(self, commit: Commit) -> None:
        """One that was granted comes to its instance, unless somebody has ended that one since."""
        ended = turn_instance(commit.object["metadata"]["uid"]) in self.given_up
        for shown in (commit.object.get("status") or {}).get("conditions") or ():
            refused = shown["type"] == "Fulfilled" and shown["status"] == "False"
            if refused and not (ended and shown["reason"] == "LeaseLost") and not self.cluster.forbids(shown):
                self.cluster.violated(f"promise: a reservation came to nothing for good: {shown['reason']}")

    def _instance(self, commit: Commit) -> None:
        metadata, status = commit.object["metadata"], commit.object.get("status") or {}
        uid = metadata["uid"]
        self._use(commit)
        if key := (metadata.get("labels") or {}).get(names.IDEMPOTENCY_LABEL):
            if self._by_key.setdefault(key, uid) != uid:
                self.cluster.violated("idempotency: one key made two instances")
            public_id = instance_id(metadata["name"], uid)
            if commit.event == "DELETED" and public_id in self.given_up and public_id not in self.promised:
                del self._by_key[key]  # nobody was told, and somebody has deleted all that said so (ADR 0022)
        if status.get("readyTime") and not ((commit.before or {}).get("status") or {}).get("readyTime"):
            self.ready += 1
        if status.get("endTime"):
            self.ended.add(uid)
        elif uid in self.ended:
            self.cluster.violated(f"I5: instance {metadata['name']} had ended and goes on")
        if status.get("reason") in ("ClaimLost", "NeverMade") and metadata["name"] in self.promised:
            if not ((commit.before or {}).get("status") or {}).get("reason"):
                self.cluster.violated(f"promise: a client was told of an instance that ended with {status['reason']}")

    def _use(self, commit: Commit) -> None:
        metadata, spec, status = commit.object["metadata"], commit.object["spec"], commit.object.get("status") or {}
        public_id, lease = (
            instance_id(metadata["name"], metadata["uid"]),
            status if status.get("epoch") else spec.get("claim"),
        )
        is_over = commit.event == "DELETED" or status.get("endTime")
        if is_over or names.NEVER_MADE_LABEL in (metadata.get("labels") or {}):
            self.used.pop(public_id, None)  # a tombstone uses nothing
        elif lease and public_id not in self.used:
            self.used[public_id] = lease["deployment"], int(lease["epoch"])
            self._count(spec["user"])

    # ---- containers

    def judge(self, deployment: str) -> None:
        """I2: what runs on a machine is of the lease that is held, or is kept warm for the next one."""
        now = self.held.get(deployment) or Held()
        holders = set[str]()
        for pod in self.nodes.on(deployment):
            if pod.holder:
                holders.add(pod.holder)
            if pod.warm and not pod.holder:
                least = now.epoch + 1 if now.lease is None else now.epoch
                # One of a later epoch is left of an earlier deployment of the name, which must be gone first.
                if pod.epoch < least or (pod.epoch > least and (now.lease is not None or self._can_be_had(deployment))):
                    word = "held" if now.lease is not None else "free"
                    self.cluster.violated(f"I2: a warm pod of an epoch that is over runs on a machine that is {word}")
                continue
            if now.lease is None or pod.epoch != now.epoch or (pod.holder and pod.holder != now.lease["instance"]):
                word = "held by another" if now.lease is not None else "free"
                self.cluster.violated(f"I2: a pod of an epoch that is over runs on a machine that is {word}")
        if len(holders) > 1:
            self.cluster.violated("I2: pods of two holders run on one machine at once")

    # ---- what clients are told

    def told(self, user: str, public_id: str) -> None:
        """A client was told 200 with an instance."""
        self.promised[public_id] = user
        found = self.cluster.store.find("instances", LAB, public_id)
        if found is None:
            # A repeat gets the first answer again, also where somebody has ended the instance since, and deleted it.
            if public_id not in self.given_up:
                self.cluster.violated("promise: a client was told of an instance that is not there")
        elif names.NEVER_MADE_LABEL in (found["metadata"].get("labels") or {}):
            self.cluster.violated("promise: a client was told of a tombstone")
        elif (found.get("status") or {}).get("reason") in ("ClaimLost", "NeverMade"):
            self.cluster.violated(
                f"promise: a client was told of an instance that ended with {found['status']['reason']}"
            )

    def asks(self, user: str) -> int:
        """A client asks for an instance; the number of the call."""
        return self.queue.asks(user)

    def answered(self, call: int) -> None:
        """A call was answered, so nothing of it is under way any more."""
        self.queue.calls.pop(call, None)

    def let_go(self, instance_id: str) -> None:
        """Somebody asks for the end of an instance."""
        self.given_up.add(instance_id)

    def is_there(self, instance_id: str) -> bool:
        """Whether the store has the instance."""
        return self.cluster.store.find("instances", LAB, instance_id) is not None

    # ---- the trace

    def _say(self, commit: Commit) -> None:
        if commit.plural in ("leases", "events", "networkpolicies"):
            return
        who = commit.request.sender if commit.request is not None else "store"
        name = commit.object["metadata"]["name"]
        self.cluster.say(who, commit.event.lower(), f"{commit.plural}/{name}", _summary(commit.plural, commit.object))


def _summary(plural: str, obj: Object) -> str:
    status: dict[str, Any] = obj.get("status") or {}
    if plural == "workspacedeployments":
        lease = status.get("lease")
        return f"epoch {status.get('epoch', 0)} " + (f"held by {lease['instance']}" if lease else "free")
    if plural == "instances":
        shown = {key: status.get(key) for key in ("deployment", "epoch", "reason", "endTime") if status.get(key)}
        shown |= {"ready": True} if status.get("readyTime") else {}
        return " ".join(f"{key}={value}" for key, value in shown.items())
    if plural == "pods":
        going = " going" if obj["metadata"].get("deletionTimestamp") else ""
        fenced = " fenced" if obj["metadata"].get("finalizers") else ""
        return f"{status.get('phase')}{going}{fenced}"
    if plural == "builds":
        shown = {key: status.get(key) for key in ("attempt", "reason", "endTime") if status.get(key)}
        return " ".join(f"{key}={value}" for key, value in shown.items())
    if plural == "reservations":
        return f"grant {status['grant']['instance']}" if status.get("grant") else "waits"
    return ""


def _public_id(obj: Object) -> str:
    return instance_id(obj["metadata"]["name"], obj["metadata"]["uid"])
