"""Probes of the process: /healthz and /readyz."""

import time
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from berth_api.dependencies import SharedState
from berth_api.meta.schemas import Health, Readiness

router = APIRouter(tags=["service"])


@router.get(
    "/healthz",
    summary="Whether the process should go on",
    responses={503: {"model": Health, "description": "It should be started anew."}},
)
async def healthy(request: Request, response: Response) -> Health:
    """Fail when a task of the process has ended."""
    ended = [task.get_name() for task in request.app.state.tasks if task.done()]
    response.status_code = 503 if ended else 200
    return Health(ended=ended)


@router.get(
    "/readyz",
    summary="Whether the process can serve",
    responses={503: {"model": Readiness, "description": "It cannot serve yet."}},
)
async def ready(state: SharedState, response: Response) -> Readiness:
    """Fail until the lists are there, tokens can be verified, and the cluster's time and leader are known.

    A cluster that is out of reach later does not count: clients get a 503 that says so, which is better than no answer.
    """
    missing = [kind for kind, reflector in state.caches.all.items() if not reflector.is_synced]
    if not missing and not state.caches.is_synced():
        missing.append("lists")
    if not state.revocations.is_synced:
        missing.append("revocations")
    if not state.tokens.is_ready(time.monotonic()):
        missing.append("verification keys")
    if not state.client.clock.was_known:
        missing.append("the cluster's time")
    if not state.protocol.is_known:
        missing.append("the leader's Lease")
    warnings = [] if state.certificate is None else list(state.certificate.warnings(datetime.now(UTC)))
    response.status_code = 503 if missing else 200
    return Readiness(missing=missing, warnings=warnings)
