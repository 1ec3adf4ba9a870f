"""Making a token: signed with the cluster's key, and recorded before it is shown."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from berth_cli.admin import cluster
from berth_cli.admin.keys import keyring, rotation
from berth_cli.admin.tokens import claims, records
from berth_cli.admin.users import accounts
from berth_cli.ui.errors import CliError
from berth_core.kube.client import Client
from berth_core.kube.model import parse_time
from berth_core.resources import Account

SKEW: Final = timedelta(seconds=5)
"""Longest time that a token may be issued ahead of the API's clock."""


@dataclass(frozen=True)
class Place:
    """An installation: its release and access namespaces, and how to reach them."""

    release: str
    access: str
    kubeconfig: Path | None


def token(request: claims.TokenRequest, place: Place) -> str:
    """Make a token and record it. Raises ValueError (the request) and CliError (the cluster)."""
    claims.check(request)

    async def make(client: Client) -> str:
        ring = await rotation.look(client, place.release)
        now = await cluster.server_time(client)
        account = await accounts.find(client, place.access, request.user)
        payload = claims.claims(request, issue_time(account, now)) | {"jti": str(uuid.uuid4())}
        kid = keyring.signer(ring, now)
        text = claims.sign(payload, kid=kid, pem=ring.held[kid])
        if len(text) > claims.LONGEST_TOKEN:
            raise ValueError(f"the token would have more than {claims.LONGEST_TOKEN} characters: name fewer types")
        await records.record(client, place.access, claims.record(request, payload, text), kid)
        return text

    return cluster.ask(place.kubeconfig, make)


def issue_time(account: Account | None, now: datetime) -> datetime:
    """Time of issue of a token: now, or just after a purge that another clock dated a little later. Pure.

    Raises CliError where the purge is dated so late that the API would refuse a token issued after it.
    """
    if account is None or account.spec.tokens_valid_after is None:
        return now
    after = parse_time(account.spec.tokens_valid_after)
    if after <= now:
        return now
    if after > now + SKEW:
        raise CliError(
            f"tokens of {account.spec.user} count only if issued after {account.spec.tokens_valid_after}:"
            " repeat the command then"
        )
    return after.replace(microsecond=0) + timedelta(seconds=1 if after.microsecond else 0)
