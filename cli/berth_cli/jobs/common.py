"""Common code of the chart's Jobs: JSON logs, and retries while the cluster is away."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import structlog

from berth_cli.ui.errors import CliError
from berth_core.kube.errors import ClusterError, UnavailableError
from berth_core.process import logs
from berth_core.process.settings import SettingError

log = structlog.get_logger(__name__)

T = TypeVar("T")
RETRY_SECONDS: Final = 1.0


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a Job's work; a failure ends it with exit code 1 and one line in the log."""
    logs.configure()
    try:
        asyncio.run(work)
    except (CliError, ClusterError, SettingError) as error:
        log.error("the job failed", error=str(error))
        sys.exit(1)


async def patiently(step: Callable[[], Awaitable[T]], seconds: float) -> T:
    """Retry an idempotent step while the cluster cannot be reached, for so many seconds at most."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while True:
        try:
            return await step()
        except UnavailableError as error:
            if loop.time() >= until:
                raise
            log.warning("the cluster cannot be reached; trying again", error=error.message)
        await asyncio.sleep(RETRY_SECONDS)
