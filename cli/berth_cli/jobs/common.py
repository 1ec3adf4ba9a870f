"""Common code of the chart's Jobs: settings from the environment, JSON logs, retries while the cluster is away."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

import structlog

from berth_cli.ui.errors import CliError
from berth_core.kube.errors import ClusterError, UnavailableError

log = structlog.get_logger(__name__)

T = TypeVar("T")
RETRY_SECONDS: Final = 1.0


def setting(environment: Mapping[str, str], name: str, default: str | None = None) -> str:
    """Read a setting; CliError names it where it is missing and has no default."""
    value = environment.get(name, "").strip() or default
    if value is None:
        raise CliError(f"the environment variable {name} is not set")
    return value


def words(text: str) -> tuple[str, ...]:
    """Split a comma list."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a Job's work; a failure ends it with exit code 1 and one line in the log."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    try:
        asyncio.run(work)
    except (CliError, ClusterError) as error:
        log.error("the job failed", error=error.message)
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
