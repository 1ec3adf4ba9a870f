"""Keys of connectors: their authority, the key of words, the hub's first certificate, and the document of trust.

Nothing that is there is overwritten, but for the document, which follows from the others.
"""

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa

from berth_core import names
from berth_core.connectors import certificates, trust
from berth_core.kube.client import Client
from berth_core.kube.errors import AlreadyExistsError, NotFoundError
from berth_core.kube.types import Kind, Object
from berth_core.pki import Authority, pem

SECRETS: Final = Kind("v1", "secrets")
CONFIGMAPS: Final = Kind("v1", "configmaps")
CA_LIFE: Final = timedelta(days=3650)
WORDS_BITS: Final = 3072


async def ensure(client: Client, namespace: str, now: datetime) -> None:
    """Make what is missing. Safe to repeat."""
    held = await _secret(client, namespace, names.CONNECTOR_CA_SECRET, lambda: _authority(now))
    authority = Authority(held["tls.crt"], held["tls.key"])
    await _secret(client, namespace, names.HUB_TLS_SECRET, lambda: _hub(authority, now))
    document = trust.document(authority.pair.certificate, held[names.WORDS_KEY])
    data = {names.TRUST_KEY: document}
    try:
        present = await client.get(CONFIGMAPS, namespace, names.CONNECTOR_TRUST)
    except NotFoundError:
        body: Object = {"metadata": _metadata(namespace, names.CONNECTOR_TRUST), "data": data}
        await client.create(CONFIGMAPS, namespace, body)
        return
    if present.get("data") != data:
        version = {"resourceVersion": present["metadata"]["resourceVersion"]}
        await client.patch(CONFIGMAPS, namespace, names.CONNECTOR_TRUST, {"metadata": version, "data": data})


def _authority(now: datetime) -> dict[str, bytes]:
    pair = Authority.new("berth connectors", now, CA_LIFE).pair
    words = pem(rsa.generate_private_key(public_exponent=65537, key_size=WORDS_BITS))
    return {"tls.crt": pair.certificate.encode(), "tls.key": pair.key.encode(), names.WORDS_KEY: words}


def _hub(authority: Authority, now: datetime) -> dict[str, bytes]:
    pair = certificates.hub(authority, now)
    root = authority.pair.certificate.encode()
    return {"tls.crt": pair.certificate.encode(), "tls.key": pair.key.encode(), "ca.crt": root}


async def _secret(client: Client, namespace: str, name: str, make: Callable[[], dict[str, bytes]]) -> dict[str, bytes]:
    """Return what a Secret holds, which is made where it is missing."""
    try:
        secret = await client.get(SECRETS, namespace, name)
    except NotFoundError:
        encoded = {key: base64.b64encode(value).decode("ascii") for key, value in make().items()}
        body: Object = {"metadata": _metadata(namespace, name), "type": "Opaque", "data": encoded}
        try:
            secret = await client.create(SECRETS, namespace, body)
        except AlreadyExistsError:  # another run was faster
            secret = await client.get(SECRETS, namespace, name)
    return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}


def _metadata(namespace: str, name: str) -> Object:
    return {"name": name, "namespace": namespace, "labels": {names.MANAGED_BY_LABEL: names.MANAGED_BY}}
