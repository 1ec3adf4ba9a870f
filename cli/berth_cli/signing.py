"""Signing a token with the key that the cluster holds."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from berth_cli import cluster, tokens
from berth_cli.errors import NOT_FOUND, CliError
from berth_core import names
from berth_core.client import Client, Kind, Object
from berth_core.errors import NotFoundError

SECRETS: Final = Kind("v1", "secrets")


def token(request: tokens.TokenRequest, namespace: str, kubeconfig: Path | None) -> str:
    """Make a token signed by the active key. Raises ValueError (the request) and CliError (the cluster)."""
    said = tokens.claims(request, datetime.now(UTC))

    async def read(client: Client) -> Object:
        try:
            return await client.get(SECRETS, namespace, names.SIGNING_SECRET)
        except NotFoundError as error:
            raise CliError(
                f"there is no Secret {names.SIGNING_SECRET} in namespace {namespace}: name the namespace of Berth's"
                " release with --namespace, or install Berth with helm",
                NOT_FOUND,
            ) from error

    kid, pem = active_key(cluster.ask(kubeconfig, read))
    return tokens.sign(said, kid=kid, pem=pem)


def active_key(secret: Object) -> tuple[str, bytes]:
    """Return kid and PEM of the key that signs. Raises CliError where the Secret does not say. Pure."""
    data = secret.get("data") or {}
    held = sorted(name.removesuffix(".pem") for name in data if name.endswith(".pem"))
    named = (secret["metadata"].get("annotations") or {}).get(names.ACTIVE_KID_ANNOTATION)
    kid = named or (held[0] if len(held) == 1 else None)
    if kid is None or kid not in held:
        raise CliError(
            f"Secret {names.SIGNING_SECRET} does not say which key signs: set its annotation"
            f" {names.ACTIVE_KID_ANNOTATION} to one of: {', '.join(held) or '(it holds none)'}"
        )
    return kid, base64.b64decode(data[f"{kid}.pem"])
