"""World of a pass, in a test's own process: its client has all rights, and nothing runs by itself."""

from datetime import timedelta

from berth_operator.engine.clock import Clock
from berth_operator.engine.world import World
from berth_operator.registry import make_world
from berth_operator.settings.builds import CiSettings
from berth_operator.settings.config import Config

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
    world = make_world(config, lab.client, Clock(lab.client.clock))
    await world.clock.compare(lab.client)
    return world
