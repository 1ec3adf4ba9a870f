"""``berth-operator``: watch, and lead when nobody else does."""

import asyncio
import base64
import gc
import signal
import sys
from functools import partial
from typing import Final

import structlog

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.clock import StoreClock
from berth_core.kube.connection import connect
from berth_core.kube.errors import ClusterError, NotFoundError, UnavailableError
from berth_core.leases.protocol import NewerProtocolError
from berth_core.process import logs
from berth_core.process.health import serving
from berth_operator.agents.certificates import Authority
from berth_operator.agents.client import AgentClient
from berth_operator.builds.archive import GatedArchive
from berth_operator.engine import watch
from berth_operator.engine.clock import Clock
from berth_operator.engine.world import World
from berth_operator.health import Health
from berth_operator.kinds import SECRETS
from berth_operator.leadership.availability import Steadiness
from berth_operator.leadership.leading import Leadership
from berth_operator.leadership.term import lead
from berth_operator.registry import make_world
from berth_operator.settings.config import Config

log = structlog.get_logger(__name__)

CONNECTIONS: Final = 48
"""To the API server at once, for all passes: each takes half a megabyte while it is open."""
REFUSED: Final = (
    "the API server refuses this process's credentials: look whether its ServiceAccount is still there, or make a new "
    "kubeconfig where it has one"
)


def main() -> None:
    """Run until SIGTERM; exit status 1 with one line that says what to do where it cannot start."""
    logs.configure()
    try:
        asyncio.run(_main(Config.from_environment()))
    except (ValueError, OSError, ClusterError) as error:
        log.error("cannot run", error=str(error))
        sys.exit(1)
    except ExceptionGroup as group:
        newer = group.subgroup(NewerProtocolError)
        if newer is None and group.subgroup(watch.LoginError) is None:
            raise
        log.error("cannot run", error=REFUSED if newer is None else str(_first(newer)))
        sys.exit(1)


def _first(group: ExceptionGroup[NewerProtocolError]) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


async def _main(config: Config) -> None:
    steadiness = Steadiness()
    leadership = Leadership(config.namespace, config.identity, steadiness)
    clock = StoreClock()
    connected = partial(connect, names.OPERATOR_MANAGER, config.kubeconfig, clock=clock)
    async with (
        await connected() as plain,
        await connected(before_write=leadership.check, connections=CONNECTIONS) as guarded,
    ):
        authority = await _authority(plain, config.namespace)
        world = make_world(config, guarded, Clock(clock), confirm=leadership.confirm)
        world.provide(Authority, authority)
        world.provide(AgentClient, AgentClient(authority, before_write=leadership.check))
        world.provide(Steadiness, steadiness)
        world.archive = GatedArchive(config.archive) if config.archive is not None else None
        health = Health(world, leadership)
        async with serving(config.listen, health.alive, health.ready, health.measure):
            await world.clock.compare(plain)
            try:
                await _run(world, plain, leadership, health)
            finally:
                await world.state(AgentClient).close()


async def _run(world: World, plain: Client, leadership: Leadership, health: Health) -> None:
    ready, stop = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch.run(world, ready))
        watching.add_done_callback(lambda _: stop.set())
        watching.add_done_callback(lambda _: ready.set())
        await ready.wait()
        health.watching = True
        _on_signals(stop)
        others = [
            tasks.create_task(world.clock.run(plain)),
            tasks.create_task(leadership.run(plain, partial(lead, world, leadership, _settle_down))),
        ]
        await stop.wait()
        # The lease first, so that another replica leads at once; kopf would wait for what it believes its own tasks.
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        watching.cancel()


def _settle_down() -> None:
    """Spare later collections the walk through what was listed, most of which stays."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _on_signals(stop: asyncio.Event) -> None:
    """Take the signals over from kopf, which has installed its own handlers when it is ready."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def _authority(client: Client, namespace: str) -> Authority:
    """Read the CA for agents; an install Job makes it, so it may not be there yet.

    An API server that is overloaded or away is waited for too: who ended would be started again ever later.
    """
    while True:
        try:
            secret = await client.get(SECRETS, namespace, names.AGENT_CA_SECRET)
        except (NotFoundError, UnavailableError) as error:
            log.warning("waiting for the Secret with the CA for agents", namespace=namespace, error=error.message)
            await asyncio.sleep(1)
            continue
        data = {key: base64.b64decode(value) for key, value in secret["data"].items()}
        return Authority(data["tls.crt"], data["tls.key"])


if __name__ == "__main__":
    main()
