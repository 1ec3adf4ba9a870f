"""For those who run the process: /healthz and /readyz."""

import time

from fastapi import APIRouter, Request

from berth_api.answers import JSON
from berth_api.routes.common import SharedState

router = APIRouter(tags=["service"])


@router.get("/healthz", summary="Whether the process should go on")
async def healthy(request: Request) -> JSON:
    """Fail when a task of the process has ended, which none should."""
    ended = [task.get_name() for task in request.app.state.tasks if task.done()]
    return JSON({"ended": ended}, status_code=503 if ended else 200)


@router.get("/readyz", summary="Whether the process can serve")
async def ready(state: SharedState) -> JSON:
    """Fail until the lists are there and tokens can be verified.

    A cluster that is out of reach later does not count: clients get a 503 that says so, which is better than
    no answer at all.
    """
    missing = [kind for kind, cache in state.caches.all.items() if not cache.is_synced]
    if not state.revocations.is_synced:
        missing.append("revocations")
    if not state.tokens.is_ready(time.monotonic()):
        missing.append("verification keys")
    return JSON({"missing": missing}, status_code=503 if missing else 200)
