"""``berth-notifier``: sends webhooks and statuses of commits. It has rights on Deliveries, and on listed tokens."""

import asyncio
import sys
from importlib.metadata import version

import structlog

from berth_core import names
from berth_core.keys.webhooks import DELIVERED, GIVEN_UP
from berth_core.kube.cache import Cache
from berth_core.kube.connection import connected
from berth_core.kube.errors import ClusterError
from berth_core.kube.reflector import Reflector
from berth_core.kube.types import Object
from berth_core.process import logs
from berth_core.process.health import serving
from berth_core.process.running import until_told
from berth_core.reading import at
from berth_notifier import connecting, sweeping
from berth_notifier.config import Config
from berth_notifier.health import Health
from berth_notifier.notifying import DELIVERIES, Notifier
from berth_notifier.pending import MOST_AT_ONCE
from berth_notifier.sending import Sender
from berth_notifier.signing import Keys
from berth_notifier.tokens import Tokens

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
    Keys.read(config.keys)  # else the first delivery would find out
    lookup = connecting.SystemLookup(2 * MOST_AT_ONCE)
    tls = connecting.verifying(config.ca_file)
    connector = connecting.connector(config.policy, lookup, tls)
    try:
        async with connected(names.NOTIFIER_MANAGER, config.kubeconfig) as client:
            tokens = Tokens(client, config.namespace, config.status_secrets)
            # Read for each attempt: a Secret that was changed counts as soon as the kubelet has it.
            sender = Sender(connector, lambda: Keys.read(config.keys), tokens.read, f"berth/{version('berth')}")
            # Whole objects: models would take more than twice as much memory, and most of them are over.
            cache = Cache[Object](lambda obj: obj, {"over": _over, "subject": _subject})
            deliveries = Reflector(client, DELIVERIES, config.workspace_namespaces, cache)
            notifier = Notifier(client, deliveries, sender)
            health = Health(notifier, deliveries)
            try:
                async with serving(config.listen, health.alive, health.ready):
                    await until_told(
                        asyncio.create_task(deliveries.run(), name="cache"),
                        asyncio.create_task(sweeping.run(client, deliveries, config.retention), name="sweeping"),
                        asyncio.create_task(notifier.run(), name="notifier"),
                    )
            finally:
                await sender.close()
    finally:
        lookup.close()


def _over(obj: Object) -> tuple[str, ...]:
    conditions = at(obj, "status", "conditions")
    shown = conditions if isinstance(conditions, list) else []
    true = [at(one, "type") for one in shown if at(one, "status") == "True"]
    return ("yes",) if DELIVERED in true or GIVEN_UP in true else ()


def _subject(obj: Object) -> tuple[str, ...]:
    subject = at(obj, "spec", "subject")
    return (str(subject),) if subject is not None else ()


if __name__ == "__main__":
    main()
