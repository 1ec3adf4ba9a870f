"""Entry point ``berth-keys``: makes the keys of an installation where they are missing. Never overwrites one.

The chart runs it before an installation and before each upgrade. The objects belong to no release, so that
upgrades, uninstalls and GitOps tools leave them alone. To rotate the signing key, add ``<kid>.pem`` to the Secret
and run it again (the public half is published), then change the annotation that names the active key.
"""

import base64
import json
import os
from datetime import UTC, datetime
from typing import Final

import structlog

from berth_cli import jobs, keys
from berth_cli.errors import CliError
from berth_core import names
from berth_core.client import Client, Kind, Object, connected
from berth_core.errors import AlreadyExistsError, NotFoundError

log = structlog.get_logger(__name__)

SECRETS: Final = Kind("v1", "secrets")
CONFIGMAPS: Final = Kind("v1", "configmaps")
PEM: Final = ".pem"
PATIENCE_SECONDS: Final = 60.0


async def ensure_keys(client: Client, namespace: str, now: datetime) -> None:
    """Make what is missing of the signing key, the verification keys and the agents' CA. Safe to repeat."""
    await _ensure_authority(client, namespace, now)
    signing = await _ensure_signing(client, namespace)
    await _publish(client, namespace, signing)


async def _ensure_authority(client: Client, namespace: str, now: datetime) -> None:
    if await _read(client, SECRETS, namespace, names.AGENT_CA_SECRET) is not None:
        return
    made = keys.new_authority(now)
    body = _secret(namespace, names.AGENT_CA_SECRET, {"tls.crt": made.certificate, "tls.key": made.key})
    body["type"] = "kubernetes.io/tls"
    await _create(client, SECRETS, namespace, body)


async def _ensure_signing(client: Client, namespace: str) -> dict[str, bytes]:
    """Return all signing keys by kid; one is made where there is none."""
    found = await _read(client, SECRETS, namespace, names.SIGNING_SECRET)
    if found is None:
        kid, pem = keys.new_signing_key()
        body = _secret(namespace, names.SIGNING_SECRET, {kid + PEM: pem})
        body["metadata"]["annotations"] = {names.ACTIVE_KID_ANNOTATION: kid}
        await _create(client, SECRETS, namespace, body)
        found = await client.get(SECRETS, namespace, names.SIGNING_SECRET)
    data = found.get("data") or {}
    held = {name.removesuffix(PEM): base64.b64decode(pem) for name, pem in data.items() if name.endswith(PEM)}
    if not held:
        raise CliError(
            f"Secret {namespace}/{names.SIGNING_SECRET} holds no <kid>.pem: restore it from a backup,"
            " or delete it and run this again for a new key (all tokens end then)"
        )
    return held


async def _publish(client: Client, namespace: str, signing: dict[str, bytes]) -> None:
    """Publish the public halves. Keys that are published and no longer held stay: tokens of theirs may live."""
    found = await _read(client, CONFIGMAPS, namespace, names.VERIFICATION_CONFIGMAP)
    published = json.loads(((found or {}).get("data") or {}).get(names.JWKS_KEY) or "{}")
    wanted = keys.merged_jwks(published, signing)
    data = {names.JWKS_KEY: json.dumps(wanted, sort_keys=True)}
    if found is None:
        metadata = _metadata(namespace, names.VERIFICATION_CONFIGMAP)
        await _create(client, CONFIGMAPS, namespace, {"metadata": metadata, "data": data})
    elif wanted != published:
        version = {"resourceVersion": found["metadata"]["resourceVersion"]}
        body: Object = {"metadata": version, "data": data}
        await client.patch(CONFIGMAPS, namespace, names.VERIFICATION_CONFIGMAP, body)
        log.info("published", name=names.VERIFICATION_CONFIGMAP, kids=[key["kid"] for key in wanted["keys"]])


async def _read(client: Client, kind: Kind, namespace: str, name: str) -> Object | None:
    try:
        return await client.get(kind, namespace, name)
    except NotFoundError:
        return None


async def _create(client: Client, kind: Kind, namespace: str, body: Object) -> None:
    name = body["metadata"]["name"]
    try:
        await client.create(kind, namespace, body)
    except AlreadyExistsError:  # another run of this Job was faster
        log.info("there already", kind=kind.plural, name=name)
    else:
        log.info("made", kind=kind.plural, name=name)


def _secret(namespace: str, name: str, data: dict[str, bytes]) -> Object:
    encoded = {key: base64.b64encode(value).decode("ascii") for key, value in data.items()}
    return {"metadata": _metadata(namespace, name), "type": "Opaque", "data": encoded}


def _metadata(namespace: str, name: str) -> Object:
    return {"name": name, "namespace": namespace, "labels": {names.MANAGED_BY_LABEL: names.MANAGED_BY}}


async def _job(namespace: str) -> None:
    async with connected(names.CLI_MANAGER, os.environ.get("KUBECONFIG") or None) as client:
        await jobs.patiently(lambda: ensure_keys(client, namespace, datetime.now(UTC)), PATIENCE_SECONDS)
    log.info("the keys are there", namespace=namespace)


def main() -> None:
    """Make the keys in the namespace that BERTH_NAMESPACE names."""
    jobs.run(_job(os.environ.get("BERTH_NAMESPACE") or "berth"))


if __name__ == "__main__":
    main()
