"""``python -m berth_devices``: offers the devices of its node, and prepares the claims on them."""

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from typing import Final

import structlog

from berth_core import names
from berth_core.kube.connection import connected
from berth_core.kube.errors import ClusterError
from berth_core.process import logs
from berth_core.process.health import serving as serving_health
from berth_devices.claims.disk import Disk
from berth_devices.config import Config
from berth_devices.discovery.kernel import Kernel
from berth_devices.discovery.watching import Uevents
from berth_devices.health import Health
from berth_devices.kubelet import sockets
from berth_devices.kubelet.plugin import Plugin
from berth_devices.preparing import Preparer
from berth_devices.publishing import Publisher
from berth_devices.resource_api import ResourceApi
from berth_devices.stock import Stock

log = structlog.get_logger(__name__)

SETTLE_SECONDS: Final = 1.0
"""Time after an event in which udev makes its links: there is a second look then."""


def main() -> None:
    """Run until SIGTERM; exit status 1 with one line that says what to do where it cannot go on."""
    logs.configure()
    try:
        asyncio.run(_main(Config.from_environment()))
    except (ValueError, OSError, ClusterError) as error:
        log.error("cannot run", error=str(error))
        sys.exit(1)


async def _main(config: Config) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(sockets.alone(config.paths))
        disk = Disk(config.paths.state, config.cdi)
        stock = Stock(Kernel(config.fixed, config.dev).snapshot, config.rules, disk)
        client = await stack.enter_async_context(connected(names.DEVICES_MANAGER, config.kubeconfig))
        api = ResourceApi(client)
        publisher = Publisher(client, api, stock, config.node)
        plugin = Plugin(Preparer(client, api, stock, config.node), config.node, str(config.paths.endpoint))
        health = Health(stock, plugin, publisher)
        await stack.enter_async_context(serving_health(config.listen, health.alive, health.ready))
        uevents = Uevents(config.events)
        stack.enter_context(uevents.listening())
        await stack.enter_async_context(sockets.serving(plugin, config.paths))
        await _until_told(
            stop,
            asyncio.create_task(_look_on(stock, uevents, publisher, config.rescan), name="looks"),
            asyncio.create_task(publisher.run(), name="publisher"),
        )


async def _look_on(stock: Stock, uevents: Uevents, publisher: Publisher, rescan: float) -> None:
    """Look at each event, once more soon after it, and now and then without one."""
    pause = rescan
    while True:
        try:
            await stock.look()
        except OSError as error:  # such as a full disk: claims can still be unprepared
            log.error("a look at the devices failed", error=str(error))
        if stock.changed.is_set():
            stock.changed.clear()
            publisher.wake()
        pause = SETTLE_SECONDS if await uevents.wait(pause) else rescan


async def _until_told(stop: asyncio.Event, *tasks: asyncio.Task[None]) -> None:
    """Wait for the flag, then stop the tasks; an error of one of them is raised."""
    told = asyncio.create_task(stop.wait())
    ended, _ = await asyncio.wait([told, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in (told, *tasks):
        task.cancel()
    await asyncio.gather(told, *tasks, return_exceptions=True)
    for task in tasks:
        if task in ended:
            task.result()


if __name__ == "__main__":
    main()
