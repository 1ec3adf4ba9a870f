"""What every pass works with."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from berth_core.archive import Archive
from berth_core.kube.client import Client
from berth_core.kube.types import Object
from berth_core.leases.leasing import Lease
from berth_core.reading import at
from berth_core.resources import Instance, Resource, WorkspaceDeployment, WorkspaceType
from berth_operator.agents.certificates import Authority
from berth_operator.agents.client import AgentClient
from berth_operator.deployments.decide import oldest
from berth_operator.deployments.heartbeats import Heartbeats
from berth_operator.enforcement.decide import Verdict
from berth_operator.engine.cache import Store
from berth_operator.engine.workqueue import Key, WorkQueue
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.memory import Memories
from berth_operator.kinds import DEPLOYMENTS, NODES, TYPES
from berth_operator.leadership.availability import Steadiness
from berth_operator.leadership.clock import Clock
from berth_operator.leases.orphan import Refusals, Sightings
from berth_operator.leases.traces import Traces
from berth_operator.settings.config import Config
from berth_operator.warm.decide import Drawn

INSTANCE = "instance"
DEPLOYMENT = "deployment"
TYPE = "type"
ORPHAN = "orphan"
"""Sorts of keys: an Instance, a WorkspaceDeployment, a WorkspaceType by name; what an instance left, by its id."""
RESERVATION = "reservation"
TURN = "turn"
ACCESS = "access"
EXPIRY = "expiry"
HISTORY = "history"
RELIST = "relist"
SLOTS = "slots"
LATE = "late"
WARM = "warm"
BUILD = "build"
PLACES = "places"
BUILD_REMAINS = "build-remains"
READABILITY = "readability"
"""More sorts: a Reservation by name; those who wait for a type, by its typeName; without a name, private keys that
nobody needs, what has expired in the access namespace, what is over and was kept for long enough, slots whose taker is
gone, and what was written too late; a fresh list of one kind (by its plural) or of all; what is kept warm for a
WorkspaceDeployment, by its name; a Build by name, without a name the turns of a namespace's builds, what a Build left
that does not exist, by its id; whether an object can be read, by its plural and name."""


@dataclass
class World:
    """Connections, settings and state of one process."""

    config: Config
    client: Client
    authority: Authority
    agents: AgentClient
    clock: Clock
    store: Store = field(default_factory=Store)
    memories: Memories = field(default_factory=Memories)
    heartbeats: Heartbeats = field(default_factory=Heartbeats)
    steadiness: Steadiness = field(default_factory=Steadiness)
    traces: Traces = field(default_factory=Traces)
    archive: Archive | None = None
    """Where logs and artifacts of builds go; None for ConfigMaps."""
    serving: set[str] = field(default_factory=set)
    """Instances (public ids) for which a lease is being taken or given back: their own passes do not bind them."""
    missing: Sightings = field(default_factory=Sightings)
    """Leases whose Instance is not there."""
    refusals: Refusals = field(default_factory=Refusals)
    """Instances that the cluster does not let be made."""
    slots_seen: dict[tuple[str, str], float] = field(default_factory=dict)
    """Slots by name of the Account and instance, with the time on the monotonic clock when each was first seen."""
    warm_nonces: dict[tuple[str, str], Drawn] = field(default_factory=dict)
    """Nonces for pods to be kept warm that no status names yet, by the deployment's namespace and name."""
    rules_listed: dict[str, int] = field(default_factory=dict)
    """Version of the last list of all FirewallRules, by namespace."""
    not_kept: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    """Parts of a build that cannot be read or stored, by its namespace and public id: since when, monotonic."""
    leftovers: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a build has begun anew: what an earlier attempt left in the archive is to go."""
    enforcement: Verdict | None = None
    """Whether the cluster enforces NetworkPolicy, as this process found out last; None before."""
    problem: str = ""
    """Why this process may not lead, though it has its release's lease; empty where it may."""
    last_event: float = 0.0
    """When a watch last told something, on the monotonic clock."""
    watches_began: dict[str, float] = field(default_factory=dict)
    """When the list from which a watch begins was last answered, by the kind's plural, on the monotonic clock."""
    term: int = 0
    """Of this process as the leader (``leading.Leadership.term``)."""
    confirm: Callable[[], Awaitable[None]] | None = None
    """Reads live who leads; raises NotLeaderError where another does. None where nobody else can."""
    queue: WorkQueue = field(init=False)

    def now(self) -> datetime:
        """Return the store's time."""
        return self.clock.now()

    def add(self, sort: str, namespace: str, name: str) -> None:
        """Ask for a pass."""
        self.queue.add(Key(sort, namespace, name))

    def deployment(self, namespace: str, name: str) -> WorkspaceDeployment | None:
        """Return a deployment as last seen."""
        found = self.store.get(DEPLOYMENTS, namespace, name)
        return WorkspaceDeployment.parse(found) if found else None

    def type_named(self, namespace: str, type_name: str) -> WorkspaceType | None:
        """Return the type that has the name in a namespace, the older one of several; None where it cannot be read."""
        found = self.types_named(namespace, type_name)
        holder = oldest(found) if found else None
        return holder if isinstance(holder, WorkspaceType) else None

    def types_named(self, namespace: str, type_name: str) -> list[Resource]:
        """Return all that say they have the name; only the metadata of those that cannot be read."""
        unreadable = self.store.unreadable(TYPES, namespace)
        return [
            *self.store.models(WorkspaceType, "typeName", type_name, namespace),
            *(Resource.parse(obj) for obj in unreadable if at(obj, "spec", "typeName") == type_name),
        ]

    async def find_type(self, namespace: str, type_name: str) -> WorkspaceType | None:
        """Return the type likewise, read live where none is known: it may have been made a moment ago.

        Raises:
            berth_core.kube.errors.UnreadableError: it is there, and cannot be read.

        """
        if (known := self.type_named(namespace, type_name)) is not None:
            return known
        found, _ = await self.client.list(TYPES, namespace, fields={"spec.typeName": type_name})
        for obj in found:
            self.store.put(TYPES, obj)
        if (known := self.type_named(namespace, type_name)) is not None:
            return known
        types = [WorkspaceType.parse(obj) for obj in found]  # one that cannot be read ends nothing that it serves
        return oldest(types) if types else None

    def node(self, name: str) -> Object | None:
        """Return a node as last seen."""
        return self.store.get(NODES, "", name) if name else None

    def lease_parts(self, instance: Instance, lease: Lease) -> LeaseParts | None:
        """Return what manifests of a lease are made from; None while the deployment or its type is not there."""
        namespace = instance.metadata.namespace
        wd = self.deployment(namespace, lease.deployment)
        type_ = self.type_named(namespace, wd.spec.type) if wd else None
        warm, nonce = bool(instance.status.warm), instance.status.nonce
        return LeaseParts(instance, wd, type_, lease.epoch, warm, nonce) if wd and type_ else None


def node_is_ready(node: Object | None) -> bool:
    """Whether a node is there and says Ready."""
    conditions = ((node or {}).get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
