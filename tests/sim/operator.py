"""One operator process: the real code from ``__main__`` on, with our own list and watch where kopf stands."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from berth_core import names
from berth_core.kube.clock import StoreClock
from berth_core.kube.errors import ClusterError, GoneError
from berth_core.kube.types import Kind
from berth_operator.agents.certificates import Authority
from berth_operator.agents.client import AgentClient
from berth_operator.engine import resync, watch
from berth_operator.engine.clock import Clock
from berth_operator.engine.world import World
from berth_operator.leadership.availability import Steadiness
from berth_operator.leadership.leading import Leadership
from berth_operator.leadership.term import lead
from berth_operator.registry import CONTROLLERS, make_world
from berth_operator.settings.config import Config

from .agents import FixedAuthority, SimulatedAgents
from .client import SimulatedClient
from .cluster import ACCESS, LAB, RELEASE, Cluster
from .crashes import crashes
from .network import Network
from .nodes import Nodes

RECONNECT_SECONDS: Final = 0.1


class Operator:
    """A replica. ``died`` is called when its process ends by itself; ``more`` is of its configuration."""

    def __init__(
        self,
        cluster: Cluster,
        nodes: Nodes,
        name: str,
        network: Network,
        agents: Network,
        died: Callable[["Operator"], object],
        more: Mapping[str, Any],
    ) -> None:
        self.cluster, self.name = cluster, name
        self.loop = cluster.world.loop(name)
        self.network, self.to_agents = network, agents
        self._died = died
        self._more = more
        self._nodes = nodes
        self.leadership: Leadership | None = None
        self.works = False
        """Whether passes run, which must end with the term of a leader."""
        self.terms = 0
        self.idle_in = 0
        """In which of its terms it was seen to work though it led no more; a renewal that is late looks so, too."""
        self.loop.call_soon(self._start)

    def _start(self) -> None:
        task = self.loop.create_task(self._main())
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self.cluster.say(self.name, "process ended", "", repr(task.exception()))
        for crash in crashes(task.exception()):
            self.cluster.violated(f"crash: an operator: {crash}"[:200])
        self._died(self)

    def _client(self, clock: StoreClock, check: Callable[[], None] | None = None) -> SimulatedClient:
        feeds, store = self.cluster.feeds, self.cluster.store
        return SimulatedClient(self.loop, store, self.network, feeds, names.OPERATOR_MANAGER, check, clock)

    async def _main(self) -> None:
        steadiness = Steadiness()
        leadership = self.leadership = Leadership(RELEASE, self.name, steadiness)
        clock = StoreClock()
        plain, guarded = self._client(clock), self._client(clock, leadership.check)
        agents = SimulatedAgents(self.cluster, self.loop, self._nodes, self.to_agents, leadership)
        config = Config(
            namespace=RELEASE,
            workspace_namespaces=(LAB,),
            access_namespace=ACCESS,
            agent_image="registry.example/berth:1",
            identity=self.name,
            **self._more,
        )
        own, confirm = Clock(clock), leadership.confirm
        world = make_world(config, guarded, own, confirm=confirm)
        world.provide(Authority, FixedAuthority())
        world.provide(AgentClient, agents)
        world.provide(Steadiness, steadiness)
        await world.clock.compare(plain)
        async with asyncio.TaskGroup() as tasks:
            for kind in CONTROLLERS.watches:
                tasks.create_task(_follow(world, plain, kind))
            tasks.create_task(world.clock.run(plain))
            tasks.create_task(leadership.run(plain, lambda: self._lead(world, leadership)))

    async def _lead(self, world: World, leadership: Leadership) -> None:
        self.works, self.terms = True, self.terms + 1
        try:
            await lead(world, leadership, self._leads)
        finally:
            self.works = False

    def _leads(self) -> None:
        self.cluster.say(self.name, "LEADS")

    @property
    def leads(self) -> bool:
        """Whether it believes that it leads."""
        own = self.leadership
        return own is not None and not self.loop.dead and self.loop.time() < own._deadline


async def _follow(world: World, client: SimulatedClient, kind: Kind) -> None:
    """List and watch one kind and feed its handler, as kopf does: a list anew where the watch got 410."""
    keep = watch.keeper(world, kind)
    namespace = LAB if kind.namespaced else None
    while True:
        try:
            listed, version = await client.list(kind, namespace, labels=dict(CONTROLLERS.labels(kind)))
        except ClusterError:
            await asyncio.sleep(RECONNECT_SECONDS)
            continue
        resync.watch_begins(world, kind.plural)
        for obj in listed:
            await keep(event={"type": None, "object": obj})
        await _watch(client, kind, namespace, version, keep)


async def _watch(
    client: SimulatedClient, kind: Kind, namespace: str | None, version: str, keep: Callable[..., Awaitable[None]]
) -> None:
    while True:
        try:
            async for event in client.watch(kind, namespace, version, labels=dict(CONTROLLERS.labels(kind))):
                version = event.object["metadata"]["resourceVersion"]
                if event.type != "BOOKMARK":
                    await keep(event={"type": event.type, "object": event.object})
        except GoneError:
            return
        except ClusterError:
            await asyncio.sleep(RECONNECT_SECONDS)
