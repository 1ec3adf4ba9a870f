"""The operator's real client of agents, with the connection replaced, and the agent's real rules at the other end."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson

from berth_agent import push as rules
from berth_operator.agents.certificates import Authority, KeyPair
from berth_operator.agents.client import AgentAddress, AgentClient
from berth_operator.errors import AgentError
from berth_operator.leadership.leading import Leadership

from .cluster import Cluster
from .loops import Loop
from .network import Network
from .nodes import Nodes, Running


class FixedAuthority(Authority):
    """A CA whose certificates say what they are for: making real ones takes longer than a history."""

    def __init__(self) -> None:
        """Hold no key."""

    @property
    def pem(self) -> str:
        return "certificate of the authority"

    def agent(self, pod: str, epoch: int, now: datetime) -> KeyPair:
        return KeyPair(f"certificate of {pod} epoch {epoch}", "key")

    def operator(self, now: datetime) -> KeyPair:
        return KeyPair("certificate of the operator", "key")


class SimulatedAgents(AgentClient):
    """Reaches the agents of running pods. Checks leadership in the step that sends a body, as the real client does."""

    def __init__(self, cluster: Cluster, loop: Loop, nodes: Nodes, network: Network, leadership: Leadership) -> None:
        super().__init__(FixedAuthority())
        self._leadership = leadership
        self._cluster = cluster
        self._loop = loop
        self._nodes = nodes
        self._network = network

    async def _request(
        self,
        method: str,
        agent: AgentAddress,
        path: str,
        *,
        seconds: float,
        body: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        data = orjson.dumps(body) if body is not None else b""
        if body is not None:
            self._leadership.check()
        term = self._leadership.term
        future: asyncio.Future[tuple[int, dict[str, Any]]] = self._loop.create_future()

        def answer(told: tuple[int, dict[str, Any]]) -> None:
            if not future.done():
                future.set_result(told)

        self._travel(lambda: self._arrive(agent, path, data, term, answer))
        try:
            async with asyncio.timeout(seconds):
                status, told = await future
        except TimeoutError:
            raise AgentError("the agent cannot be reached: TimeoutError") from None
        if status == 0:
            raise AgentError("the agent cannot be reached: refused")
        return status, told

    def _travel(self, event: Callable[[], object]) -> None:
        troubles, draw = self._network.troubles, self._network.world.random
        if troubles.cut or (troubles.lose_request and draw.random() < troubles.lose_request):
            return
        late = troubles.hold_watches * draw.random() if troubles.hold_watches else 0.0
        self._network.world.at(self._network.delay() + late, event)

    def _arrive(self, agent: AgentAddress, path: str, data: bytes, term: int, answer: Callable[[Any], None]) -> None:
        pod = self._nodes.at(agent.ip, agent.pod, agent.epoch)
        if pod is None or pod.deployment in self._nodes.silent:
            told: tuple[int, dict[str, Any]] = (0, {})
        elif path == "/v1/state":
            told = self._apply(pod, data, term)
        elif data:
            told = self._refuse(pod, frozenset(orjson.loads(data)["revoked"]))
        else:
            told = (200, {"listening": True, "ready": True})
        self._travel(lambda: self._loop.call_soon(answer, told))

    def _refuse(self, pod: Running, revoked: frozenset[str]) -> tuple[int, dict[str, Any]]:
        """Decide as ``berth_agent.vpn`` does."""
        if pod.refused - revoked:
            return 409, {"error": "the list lacks clients that are revoked already"}
        pod.refused = revoked
        return 200, {"ended": 0}

    def _apply(self, pod: Running, data: bytes, term: int) -> tuple[int, dict[str, Any]]:
        """Decide as ``berth_agent.store`` does."""
        wanted = rules.parse(data)
        if rules.is_stale(wanted.of, pod.in_force) and pod.in_force is not None:
            self._cluster.say(self._loop.name, "push refused", pod.name, f"generation {wanted.of.generation}")
            return 409, {"generation": pod.in_force.generation, "digest": pod.in_force.digest}
        if term < pod.term:
            self._cluster.violated("I7: a former leader's push came into force after one of its successor's")
        pod.term = term
        pod.in_force, pod.ruleset, pod.keys = wanted.of, wanted.ruleset, wanted.keys
        generation, digest = wanted.of.generation, wanted.of.digest
        self._cluster.say(self._loop.name, "pushed", pod.name, f"generation {generation} {digest[:8]}")
        return 200, {"generation": generation, "digest": digest}
