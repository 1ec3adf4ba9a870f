"""``berth-keeper``: works the relays of machines. It alone reads their credentials, by name."""

import asyncio
import sys

import structlog

from berth_core import names
from berth_core.kube.cache import Cache
from berth_core.kube.connection import connected
from berth_core.kube.errors import ClusterError
from berth_core.kube.reflector import Reflector
from berth_core.kube.types import Object
from berth_core.process import logs
from berth_core.process.health import serving
from berth_core.process.running import until_told
from berth_core.resources import Relay
from berth_keeper.config import Config
from berth_keeper.health import Health
from berth_keeper.keeping import Keeper
from berth_keeper.lookup import Lookup

log = structlog.get_logger(__name__)


def main() -> None:
    """Run until SIGTERM; exit status 1 with one line that says what to do where it cannot start."""
    logs.configure()
    try:
        asyncio.run(_main(Config.from_environment()))
    except (ValueError, OSError, ClusterError) as error:
        log.error("cannot run", error=str(error))
        sys.exit(1)


async def _main(config: Config) -> None:
    async with connected(names.KEEPER_MANAGER, config.kubeconfig) as client:
        cache = Cache[Object](lambda obj: obj)
        relays = Reflector(client, Relay.api(), config.workspace_namespaces, cache)
        keeper = Keeper(client, relays, Lookup(client, config.namespace, config.networks))
        health = Health(keeper, relays)
        async with serving(config.listen, health.alive, health.ready):
            await until_told(
                asyncio.create_task(relays.run(), name="cache"), asyncio.create_task(keeper.run(), name="keeper")
            )


if __name__ == "__main__":
    main()
