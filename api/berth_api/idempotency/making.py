"""Makes an object for the request under way, so that a repeat of the request finds it."""

from berth_api.idempotency import replay
from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.types import Object
from berth_core.resources import Resource


async def create(client: Client, kind: type[Resource], body: Object) -> Object:
    """Create an object, with the label of the request's Idempotency-Key where it has one.

    Raises TooLateError before anything is sent, and what :meth:`Client.create` raises.
    """
    metadata = body["metadata"]
    if (run := replay.running.get()) is not None:
        run.begin_making()
        metadata["labels"] = metadata.get("labels", {}) | {names.IDEMPOTENCY_LABEL: run.digest}
    return await client.create(kind.api(), metadata["namespace"], body)
