"""Logs as JSON, one object a line, on standard output; those of libraries too."""

import logging
import os
import sys
from typing import Any, Final

import orjson
import structlog

QUIET: Final = ("aiohttp", "asyncio", "kopf", "kubernetes")
"""Libraries that speak of every event at INFO."""
SERVER: Final = ("uvicorn", "uvicorn.error", "uvicorn.access")
"""Loggers with handlers of their own."""

VARIABLES: Final = {"BERTH_LOG_LEVEL": "Level of the logs: DEBUG, INFO, WARNING, ERROR; INFO where it is empty."}


class _Lines(structlog.BytesLogger):
    """Writes whole lines, and knows which module they are from."""

    def __init__(self, name: str = "") -> None:
        super().__init__(sys.stdout.buffer)
        self.name = name


def configure() -> None:
    """Send structlog's records and the standard library's the same way. BERTH_LOG_LEVEL sets the level.

    Structlog's records bypass the standard library, which is slower: the API writes one for each request.
    """
    level = logging.getLevelNamesMapping().get(os.environ.get("BERTH_LOG_LEVEL", "INFO").upper(), logging.INFO)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_encode)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Lines,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_write),
            ],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(level)
    # Python's warnings too, else their lines would not be JSON.
    logging.captureWarnings(capture=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in SERVER:
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True


def _encode(event: object, **_: Any) -> bytes:
    return orjson.dumps(event, default=str)


def _write(event: object, **_: Any) -> str:
    return _encode(event).decode()
