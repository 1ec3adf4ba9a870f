"""Opens a token for a Connector's host, and composes the one command that the host runs."""

import hashlib
import shlex
from dataclasses import dataclass
from typing import Final

from berth_cli.admin.cluster import server_time
from berth_cli.admin.connectors.keys import CONFIGMAPS
from berth_cli.ui.errors import FAILED, NOT_FOUND, CliError
from berth_core import names
from berth_core.connectors import tokens, trust
from berth_core.kube.client import Client
from berth_core.kube.errors import NotFoundError
from berth_core.kube.model import timestamp
from berth_core.resources import Connector, ConnectorSpec, manifest
from berth_core.resources.connector import Enrolment

FILE: Final = "berth-connector.pyz"


@dataclass(frozen=True)
class Opening:
    """Words of the command that are not in the cluster."""

    name: str
    namespace: str
    """The workspace namespace."""
    release: str
    hub: str | None
    """``host:port``; None for the address that the chart knows."""
    targets: tuple[str, ...]
    on_disconnect: str


@dataclass(frozen=True)
class Invitation:
    """Words of the command for a host."""

    connector: Connector
    token: str
    hub: str
    pin: str
    targets: tuple[str, ...]
    on_disconnect: str


async def invite(client: Client, opening: Opening) -> Invitation:
    """Make the Connector where it is missing, and open a token, which ends the one before. Raises CliError."""
    hub, pin = opening.hub or await _address(client, opening.release), await _pin(client, opening.release)
    connector = await _connector(client, opening)
    token = tokens.new(connector.metadata.uid)
    expires = timestamp(await server_time(client) + tokens.LIFE)
    enrolment = Enrolment(token_hash=tokens.digest(token), expires=expires)
    targets = opening.targets or tuple(connector.spec.targets)
    body = {
        # The token is for this object: not for another of the same name.
        "metadata": {"uid": connector.metadata.uid},
        "spec": {"enrolment": enrolment.wire(), "targets": list(targets)},
    }
    changed = await client.patch(Connector.api(), opening.namespace, opening.name, body)
    return Invitation(Connector.parse(changed), token, hub, pin, targets, opening.on_disconnect)


def command(invitation: Invitation, bundle: bytes, *, root: bool) -> str:
    """Return the line for the host. The file comes from the hub and counts by its SHA-256. Pure."""
    url = f"https://{invitation.hub}/v1/connector.pyz"
    digest = hashlib.sha256(bundle).hexdigest()
    words = ["enroll", "--hub", invitation.hub, "--trust", invitation.pin, "--token", invitation.token]
    for target in invitation.targets:
        words += ["--target", target]
    if invitation.on_disconnect:
        words += ["--on-disconnect", invitation.on_disconnect]
    return (
        f"curl -fsSk {shlex.quote(url)} -o {FILE} && echo '{digest}  {FILE}' | sha256sum -c --quiet &&"
        f" {'sudo ' if root else ''}python3 {FILE} {shlex.join(words)}"
    )


async def _connector(client: Client, opening: Opening) -> Connector:
    kind = Connector.api()
    try:
        return Connector.parse(await client.get(kind, opening.namespace, opening.name))
    except NotFoundError:
        spec = ConnectorSpec(targets=list(opening.targets))
        body = manifest(Connector, opening.namespace, opening.name, spec)
        try:
            return Connector.parse(await client.create(kind, opening.namespace, body))
        except NotFoundError as error:
            raise CliError(f"{error.message}: name another namespace with --workspaces", NOT_FOUND) from error


async def _pin(client: Client, release: str) -> str:
    try:
        configmap = await client.get(CONFIGMAPS, release, names.CONNECTOR_TRUST)
        return trust.pin(configmap["data"][names.TRUST_KEY])
    except (NotFoundError, KeyError) as error:
        raise CliError(
            f"ConfigMap {names.CONNECTOR_TRUST} in namespace {release} is missing: the Job berth-keys of the chart"
            " makes it; repeat `helm upgrade`, or name the release's namespace with --namespace",
            NOT_FOUND,
        ) from error


async def _address(client: Client, release: str) -> str:
    try:
        configmap = await client.get(CONFIGMAPS, release, names.HUB_CONFIGMAP)
    except NotFoundError as error:
        raise CliError(
            "there is no hub: set hub.enabled and hub.address in the chart's values, or name its address with --hub",
            FAILED,
        ) from error
    address = str((configmap.get("data") or {}).get("address") or "")
    if not address:
        raise CliError("the chart's value hub.address is empty: set it, or name the hub's address with --hub", FAILED)
    return address
