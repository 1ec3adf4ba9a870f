"""The public key for receivers of webhooks: /.well-known/berth-webhook-key."""

import asyncio

from fastapi import APIRouter

from berth_api.dependencies import SharedState
from berth_api.http.errors import MissingError
from berth_api.http.requests import refusals
from berth_api.meta.schemas import WebhookKey

router = APIRouter(tags=["webhooks"])


@router.get(
    "/.well-known/berth-webhook-key",
    summary="The key that verifies webhooks",
    responses=refusals(_404="no key of webhooks is published"),
)
async def key(state: SharedState) -> WebhookKey:
    """Show the public half of the key that signs webhooks (`eurl`), by the Standard Webhooks scheme."""
    # Read for each request: the kubelet replaces the file when the key changes, and receivers ask rarely.
    try:
        text = await asyncio.to_thread(state.config.webhook_key_file.read_text, encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise MissingError("no key of webhooks is published") from error
    return WebhookKey(key=text.strip())
