"""The verification keys in their ConfigMap, which API pods mount. All writes are compare-and-swap, safe to repeat.

A publisher reads the ConfigMap before the Secret; a remover of a key writes the Secret before the ConfigMap. So a
publisher that still saw a removed key cannot publish it again: its write fails, and it reads both again.
"""

import json
from typing import Any, Final

from berth_cli.admin.keys import material
from berth_cli.admin.keys.keyring import Keyring
from berth_cli.ui.errors import CliError
from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.errors import NotFoundError
from berth_core.kube.swap import swap
from berth_core.kube.types import Kind, Object

SECRETS: Final = Kind("v1", "secrets")
CONFIGMAPS: Final = Kind("v1", "configmaps")
CONFIGMAP: Final = f"ConfigMap {names.VERIFICATION_CONFIGMAP}"


async def publish(client: Client, namespace: str) -> frozenset[str]:
    """Publish the public halves of all keys that are held. Returns the kids that were not published before.

    Published keys that are no longer held stay, since their tokens may still live.
    """

    async def attempt() -> frozenset[str]:
        configmap = await read(client, namespace)
        ring = Keyring.parse(await client.get(SECRETS, namespace, names.SIGNING_SECRET))
        before = jwks(configmap)
        after = material.merged_jwks(before, dict(ring.held))
        await _write(client, namespace, configmap, after)
        return kids(after) - kids(before)

    return await swap(attempt, CONFIGMAP)


async def unpublish(client: Client, namespace: str, kid: str) -> None:
    """Remove a key from the ConfigMap, after the Secret lost it."""

    async def attempt() -> None:
        configmap = await read(client, namespace)
        if configmap is None:
            await publish(client, namespace)
            return
        rest = {"keys": [key for key in jwks(configmap).get("keys", []) if key.get("kid") != kid]}
        await _write(client, namespace, configmap, rest)

    await swap(attempt, CONFIGMAP)


async def read(client: Client, namespace: str) -> Object | None:
    """Return the ConfigMap, None where there is none."""
    try:
        return await client.get(CONFIGMAPS, namespace, names.VERIFICATION_CONFIGMAP)
    except NotFoundError:
        return None


def jwks(configmap: Object | None) -> dict[str, Any]:
    """Return the JWK set (RFC 7517) that the ConfigMap holds. Raises CliError where it is none. Pure."""
    text = ((configmap or {}).get("data") or {}).get(names.JWKS_KEY) or '{"keys": []}'
    try:
        document = json.loads(text)
        keys = document["keys"]
        if all(isinstance(key, dict) for key in keys):
            return {"keys": keys}
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise CliError(_DAMAGED) from error
    raise CliError(_DAMAGED)


def kids(published: dict[str, Any]) -> frozenset[str]:
    """Names of the keys of a JWK set. Pure."""
    return frozenset(str(key["kid"]) for key in published["keys"] if "kid" in key)


async def _write(client: Client, namespace: str, configmap: Object | None, document: dict[str, Any]) -> None:
    """Write the set. Raises ConflictError where another writer came in between."""
    data = {names.JWKS_KEY: json.dumps(document, sort_keys=True)}
    metadata: Object = {"name": names.VERIFICATION_CONFIGMAP, "namespace": namespace}
    if configmap is None:
        metadata["labels"] = {names.MANAGED_BY_LABEL: names.MANAGED_BY}
        await client.create(CONFIGMAPS, namespace, {"metadata": metadata, "data": data})
    elif jwks(configmap) != document or names.JWKS_KEY not in (configmap.get("data") or {}):
        metadata["resourceVersion"] = configmap["metadata"]["resourceVersion"]
        body: Object = {"metadata": metadata, "data": data}
        await client.patch(CONFIGMAPS, namespace, names.VERIFICATION_CONFIGMAP, body)


_DAMAGED: Final = (
    f"ConfigMap {names.VERIFICATION_CONFIGMAP} holds no JWK set under {names.JWKS_KEY}: delete the ConfigMap and"
    " repeat the command, which publishes all keys that are held"
)
