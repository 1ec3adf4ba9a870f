"""The connectors' authority, read from its Secret when it is first needed."""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from berth_core import names
from berth_core.connectors import certificates
from berth_core.connectors.words import Signer
from berth_core.kube.types import Object
from berth_core.pki import Authority
from berth_operator.engine.world import World
from berth_operator.kinds import SECRETS

log = structlog.get_logger(__name__)

RENEW_BEFORE: Final = timedelta(days=15)


@dataclass
class Connecting:
    """Authority and signer for connectors, once they were read."""

    authority: Authority | None = None
    signer: Signer | None = None


async def authority(world: World) -> Authority:
    """Return the authority. Raises ClusterError while its Secret is missing: the keys Job makes it."""
    state = world.state(Connecting)
    if state.authority is None:
        await _read(world, state)
    if state.authority is None:
        raise ValueError(f"Secret {names.CONNECTOR_CA_SECRET} has no authority")
    return state.authority


async def _read(world: World, state: Connecting) -> None:
    secret = await world.client.get(SECRETS, world.config.namespace, names.CONNECTOR_CA_SECRET)
    data = _data(secret)
    state.authority = Authority(data["tls.crt"], data["tls.key"])
    state.signer = Signer(data[names.WORDS_KEY])


async def renew_hub(world: World, now: datetime) -> bool:
    """Renew the hub's certificate when half of its time is over; whether it was. Raises ClusterError."""
    secret = await world.client.get(SECRETS, world.config.namespace, names.HUB_TLS_SECRET)
    end = certificates.end_of(_data(secret).get("tls.crt", b""))
    if end is not None and end - now > RENEW_BEFORE:
        return False
    pair = certificates.hub(await authority(world), now)
    content = {"tls.crt": pair.certificate, "tls.key": pair.key}
    data = {name: base64.b64encode(text.encode()).decode() for name, text in content.items()}
    body: Object = {"metadata": {"resourceVersion": secret["metadata"]["resourceVersion"]}, "data": data}
    await world.client.patch(SECRETS, world.config.namespace, names.HUB_TLS_SECRET, body)
    log.info("the hub's certificate was renewed")
    return True


def _data(secret: Object) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
