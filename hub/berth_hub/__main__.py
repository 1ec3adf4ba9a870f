"""``berth-hub``: connectors link themselves here, and streams to their machines go through."""

import asyncio
import signal
import ssl
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from berth_connector import bundle
from berth_core import names
from berth_core.connectors import trust
from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_core.kube.errors import ClusterError, ConflictError, NotFoundError
from berth_core.process import logs
from berth_core.process.health import serving
from berth_core.resources import Connector
from berth_hub import reporting, server
from berth_hub.config import Config
from berth_hub.judging import Pending
from berth_hub.links import Links
from berth_hub.replicas import Replicas
from berth_hub.reporting import Reporter
from berth_hub.roster import Roster
from berth_hub.server import Server

log = structlog.get_logger(__name__)

STUCK_SECONDS: Final = 30.0
RELOAD_SECONDS: Final = 10.0


def main() -> None:
    """Run until SIGTERM; exit status 1 with one line that says what to do where it cannot start."""
    logs.configure()
    try:
        asyncio.run(_main(Config.from_environment()))
    except (ValueError, OSError, ImportError, ClusterError) as error:
        log.error("cannot run", error=str(error))
        sys.exit(1)


async def _main(config: Config) -> None:
    document = (config.trust / names.TRUST_KEY).read_text()
    tls = server.context(config.tls)
    async with connected(names.HUB_MANAGER, config.kubeconfig) as client:
        clock = client.clock
        roster = Roster()
        replicas = Replicas(client, config.namespace, config.replica, clock.now)
        reporter = Reporter(client, roster, config.replica, replicas.living, clock.now)
        links = Links(reporter.changed)
        roster.listen(links.heard)
        connectors, leases = roster.reflector(client, config.workspace_namespaces), replicas.reflector()
        hub = Server(
            roster=roster,
            linked=links,
            trust=document,
            keys=trust.keys(document),
            clock=clock.now,
            live=lambda connector: _live(client, connector),
            write=lambda connector, pending: _request(client, connector, pending),
            replica=config.replica,
            replicas=lambda: len(replicas.living()),
            bundle=bundle.build(),
        )

        def alive() -> tuple[bool, Mapping[str, Any]]:
            age = time.monotonic() - reporter.last_look
            return age < STUCK_SECONDS or not connectors.is_synced, {"lastLookSeconds": round(age, 3)}

        def ready() -> tuple[bool, Mapping[str, Any]]:
            return connectors.is_synced, {"listed": connectors.is_synced, "links": len(links.all())}

        async with serving(config.listen, alive, ready):
            following = [asyncio.create_task(one.run()) for one in (connectors, leases, replicas)]
            await connectors.synced()
            await leases.synced()
            listening = await hub.start(config.port, tls)
            tasks = [
                *following,
                asyncio.create_task(reporter.run(links)),
                asyncio.create_task(links.watch(clock.now, roster)),
                asyncio.create_task(_reload(config.tls, tls)),
            ]
            try:
                await _until_told(tasks)
            finally:
                listening.close()
                for linked in links.all():
                    linked.link.end("the hub was stopped")
                await replicas.end()


async def _live(client: Client, connector: Connector) -> Connector | None:
    """Read a Connector live; None where it is gone, or another has its name."""
    try:
        obj = await client.get(Connector.api(), connector.metadata.namespace, connector.metadata.name)
    except NotFoundError:
        return None
    live = Connector.parse(obj)
    return live if live.metadata.uid == connector.metadata.uid else None


async def _request(client: Client, connector: Connector, pending: Pending) -> None:
    """Write a request into the status. Where another was quicker the host asks again, and is told then."""
    try:
        await reporting.write(client, connector, connector.status.model_copy(update={"request": pending.request}))
    except ConflictError:
        log.info("request not written: somebody wrote in between", connector=connector.metadata.name)


async def _reload(folder: Path, tls: ssl.SSLContext) -> None:
    """Serve a renewed certificate. One that cannot be used never replaces one that can."""
    served = (folder / "tls.crt").read_bytes()
    while True:
        await asyncio.sleep(RELOAD_SECONDS)
        try:
            renewed = (folder / "tls.crt").read_bytes()
            if renewed != served:
                server.context(folder)
                tls.load_cert_chain(folder / "tls.crt", folder / "tls.key")
                served = renewed
                log.info("certificate renewed")
        except (OSError, ssl.SSLError) as error:
            log.warning("certificate not renewed", error=str(error))


async def _until_told(tasks: list[asyncio.Task[None]]) -> None:
    """Wait for SIGTERM or SIGINT, then stop the tasks; what one of them fails with is raised."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    signalled = asyncio.create_task(stop.wait())
    ended, _ = await asyncio.wait([signalled, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in (signalled, *tasks):
        task.cancel()
    await asyncio.gather(signalled, *tasks, return_exceptions=True)
    for task in tasks:
        if task in ended and (error := task.exception()) is not None:
            raise error


if __name__ == "__main__":
    main()
