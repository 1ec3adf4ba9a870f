"""World of a pass, in a test's own process: its client has all rights, and nothing runs by itself."""

from datetime import timedelta
from typing import cast

from berth_operator.agents.certificates import Authority
from berth_operator.agents.client import AgentClient
from berth_operator.leadership.clock import Clock
from berth_operator.settings.builds import CiSettings
from berth_operator.settings.config import Config
from berth_operator.world import World

from .lab import Lab


async def world_of(lab: Lab) -> World:
    """A world with an empty cache, and a clock that is trusted."""
    config = Config(
        namespace=lab.namespaces.release,
        workspace_namespaces=(lab.namespace,),
        access_namespace=lab.namespaces.access,
        agent_image="berth.invalid/berth:test",
        identity="test",
        ci=CiSettings("ci.invalid/ci:1", kept_retention=timedelta(hours=1)),
    )
    world = World(config, lab.client, cast(Authority, None), cast(AgentClient, None), Clock())
    await world.clock.compare(lab.client)
    return world
