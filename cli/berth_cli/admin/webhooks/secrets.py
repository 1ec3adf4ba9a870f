"""The keys that sign webhooks, made once by the keys Job, and the secrets of users that follow from them."""

import base64
import binascii
from typing import Final

import structlog

from berth_cli.admin.keys import material
from berth_cli.ui.errors import NOT_FOUND, CliError
from berth_core import names
from berth_core.keys import webhooks
from berth_core.kube.client import Client
from berth_core.kube.errors import AlreadyExistsError, NotFoundError
from berth_core.kube.types import Kind, Object

log = structlog.get_logger(__name__)

SECRETS: Final = Kind("v1", "secrets")
CONFIGMAPS: Final = Kind("v1", "configmaps")


async def ensure(client: Client, namespace: str) -> None:
    """Make the keys where they are missing, and publish the public one. Safe to repeat.

    Raises:
        CliError: the Secret exists but holds no such keys.

    """
    try:
        await _read(client, namespace)
    except NotFoundError:
        await _create(client, SECRETS, namespace, names.WEBHOOK_SECRET, {"data": _encoded(material.new_webhook_keys())})
    # Read again: another run may have been faster, and the published key must belong to the signing key.
    await _publish(client, namespace, _public_key(await _read(client, namespace)))


async def user_secret(client: Client, namespace: str, user: str) -> str:
    """Return the secret (`whsec_…`) with which a user verifies webhooks. Raises CliError where there is none."""
    try:
        secret = await _read(client, namespace)
    except NotFoundError as error:
        raise CliError(
            f"there is no Secret {names.WEBHOOK_SECRET} in namespace {namespace}: name the namespace of Berth's"
            " release with --namespace, or install Berth with helm",
            NOT_FOUND,
        ) from error
    return webhooks.user_secret(_part(secret, names.WEBHOOK_MASTER), user)


async def _read(client: Client, namespace: str) -> Object:
    return await client.get(SECRETS, namespace, names.WEBHOOK_SECRET)


async def _publish(client: Client, namespace: str, public: str) -> None:
    data = {names.WEBHOOK_PUBLIC_KEY: public}
    try:
        configmap = await client.get(CONFIGMAPS, namespace, names.WEBHOOK_CONFIGMAP)
    except NotFoundError:
        await _create(client, CONFIGMAPS, namespace, names.WEBHOOK_CONFIGMAP, {"data": data})
        return
    if (configmap.get("data") or {}).get(names.WEBHOOK_PUBLIC_KEY) != public:
        await client.patch(CONFIGMAPS, namespace, names.WEBHOOK_CONFIGMAP, {"data": data})
        log.info("published", name=names.WEBHOOK_CONFIGMAP)


async def _create(client: Client, kind: Kind, namespace: str, name: str, content: Object) -> None:
    metadata = {"name": name, "namespace": namespace, "labels": {names.MANAGED_BY_LABEL: names.MANAGED_BY}}
    try:
        await client.create(kind, namespace, {"metadata": metadata, **content})
    except AlreadyExistsError:  # another run of the Job was faster
        log.info("there already", kind=kind.plural, name=name)
    else:
        log.info("made", kind=kind.plural, name=name)


def _encoded(data: dict[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(value).decode("ascii") for key, value in data.items()}


def _public_key(secret: Object) -> str:
    _part(secret, names.WEBHOOK_MASTER)
    try:
        return webhooks.public_key(_part(secret, names.WEBHOOK_PRIVATE_KEY))
    except ValueError as error:
        raise _damaged(names.WEBHOOK_PRIVATE_KEY) from error


def _part(secret: Object, key: str) -> bytes:
    try:
        content = base64.b64decode((secret.get("data") or {})[key])
    except (KeyError, binascii.Error) as error:
        raise _damaged(key) from error
    if not content:
        raise _damaged(key)
    return content


def _damaged(key: str) -> CliError:
    return CliError(
        f"Secret {names.WEBHOOK_SECRET} holds no key that can be used under {key}: restore it from a backup, or delete"
        " it and upgrade the release for new keys (receivers must be told the new ones then)"
    )
