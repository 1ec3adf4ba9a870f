"""Pushes to the agent of a lease that ends, and their number."""

from typing import cast

from berth_core.kube.client import Client
from berth_core.resources.instance import InForce
from berth_operator.agents.client import AgentAddress, AgentClient, Push
from berth_operator.engine.clock import Clock
from berth_operator.errors import AgentError
from berth_operator.instances import ending
from berth_operator.instances.memory import Memories
from berth_operator.registry import make_world

from ..samples import CONFIG, ID, pod


class Agents:
    """Takes pushes; the first so many of them do not reach it."""

    def __init__(self, deaf: int) -> None:
        self.deaf = deaf
        self.took: list[Push] = []

    async def push(self, _agent: AgentAddress, push: Push, *, seconds: float) -> None:
        if self.deaf:
            self.deaf -= 1
            raise AgentError(f"no answer within {seconds} s")
        self.took.append(push)


async def closed(agents: Agents, passes: int) -> list[Push]:
    """Run so many passes over an instance that ends."""
    world = make_world(CONFIG, cast(Client, None), Clock())
    world.provide(AgentClient, cast(AgentClient, agents))
    memory = world.state(Memories).of("lab", ID)
    memory.sent = InForce(generation=7, digest="d")  # it got no answer, and may still arrive
    for _ in range(passes):
        await ending._close(world, "lab", ID, pod())
    return agents.took


async def test_the_agent_is_told_once_to_let_nobody_in_and_to_end_what_stands() -> None:
    (push,) = await closed(Agents(deaf=0), passes=3)
    assert (push.generation, push.keys, push.cut) == (8, (), True)


async def test_an_agent_that_could_not_be_reached_is_told_in_the_next_pass() -> None:
    (push,) = await closed(Agents(deaf=2), passes=4)
    assert (push.generation, push.cut) == (8, True)
