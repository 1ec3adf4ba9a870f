"""Entry point ``berth-keys``: makes the keys of an installation where they are missing. Never overwrites one.

The chart runs it before an installation and before each upgrade. The objects belong to no release, so that
upgrades, uninstalls and GitOps tools leave them alone. `berth key rotate` and `berth key remove` change the signing
keys. This Job publishes all held keys, also after an interrupted rotation or removal, or for a key put into the Secret
by hand (``<kid>.pem``).
"""

import base64
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import structlog

from berth_cli.admin.connectors import keys as connectors
from berth_cli.admin.keys import material, publishing
from berth_cli.admin.keys.keyring import PEM, Keyring
from berth_cli.admin.keys.publishing import SECRETS
from berth_cli.admin.webhooks import secrets
from berth_cli.jobs import common
from berth_cli.ui.errors import CliError
from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_core.kube.errors import AlreadyExistsError, NotFoundError
from berth_core.kube.model import timestamp
from berth_core.kube.types import Object
from berth_core.process.settings import Settings

log = structlog.get_logger(__name__)

PATIENCE_SECONDS: Final = 60.0


async def ensure_keys(client: Client, namespace: str, now: datetime) -> None:
    """Make missing keys of tokens, webhooks and connectors, and the agents' CA where it is missing. Safe to repeat."""
    await _ensure_authority(client, namespace, now)
    await _ensure_signing(client, namespace, now)
    await secrets.ensure(client, namespace)
    await connectors.ensure(client, namespace, now)
    if published := await publishing.publish(client, namespace):
        log.info("published", name=names.VERIFICATION_CONFIGMAP, kids=sorted(published))


async def _ensure_authority(client: Client, namespace: str, now: datetime) -> None:
    if await _secret_of(client, namespace, names.AGENT_CA_SECRET) is not None:
        return
    pair = material.new_authority(now)
    body = _secret(
        namespace, names.AGENT_CA_SECRET, {"tls.crt": pair.certificate.encode(), "tls.key": pair.key.encode()}
    )
    body["type"] = "kubernetes.io/tls"
    await _create(client, namespace, body)


async def _ensure_signing(client: Client, namespace: str, now: datetime) -> None:
    """Make a signing key where their Secret is missing. Raises CliError where the Secret holds none."""
    secret = await _secret_of(client, namespace, names.SIGNING_SECRET)
    if secret is None:
        kid, pem = material.new_signing_key()
        body = _secret(namespace, names.SIGNING_SECRET, {kid + PEM: pem})
        since = json.dumps({kid: timestamp(now.replace(microsecond=0))})
        body["metadata"]["annotations"] = {names.ACTIVE_KID_ANNOTATION: kid, names.KEYS_SINCE_ANNOTATION: since}
        await _create(client, namespace, body)
    elif not Keyring.parse(secret).held:
        raise CliError(
            f"Secret {namespace}/{names.SIGNING_SECRET} holds no <kid>.pem: restore it from a backup,"
            " or delete it and run this again for a new key (all tokens end then)"
        )


async def _secret_of(client: Client, namespace: str, name: str) -> Object | None:
    try:
        return await client.get(SECRETS, namespace, name)
    except NotFoundError:
        return None


async def _create(client: Client, namespace: str, body: Object) -> None:
    name = body["metadata"]["name"]
    try:
        await client.create(SECRETS, namespace, body)
    except AlreadyExistsError:  # another run of this Job was faster
        log.info("there already", kind=SECRETS.plural, name=name)
    else:
        log.info("made", kind=SECRETS.plural, name=name)


def _secret(namespace: str, name: str, data: dict[str, bytes]) -> Object:
    encoded = {key: base64.b64encode(value).decode("ascii") for key, value in data.items()}
    return {"metadata": _metadata(namespace, name), "type": "Opaque", "data": encoded}


def _metadata(namespace: str, name: str) -> Object:
    return {"name": name, "namespace": namespace, "labels": {names.MANAGED_BY_LABEL: names.MANAGED_BY}}


VARIABLES: Final = {
    "BERTH_NAMESPACE": "Namespace of the keys, the release's.",
    "KUBECONFIG": "Way to the cluster; the pod's service account where it is empty.",
}


def given(environment: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the namespace of the keys, and the kubeconfig if any."""
    settings = Settings(environment)
    return settings.text("BERTH_NAMESPACE", "berth"), settings.text("KUBECONFIG") or None


async def _job(namespace: str, kubeconfig: str | None) -> None:
    async with connected(names.CLI_MANAGER, kubeconfig) as client:
        await common.patiently(lambda: ensure_keys(client, namespace, datetime.now(UTC)), PATIENCE_SECONDS)
    log.info("the keys are there", namespace=namespace)


def main() -> None:
    """Make the keys in the namespace that BERTH_NAMESPACE names."""
    common.run(_job(*given(os.environ)))


if __name__ == "__main__":
    main()
