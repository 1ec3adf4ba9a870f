"""Ending one token, by its text or its SHA-256."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import jwt

from berth_cli.admin.cluster import server_time
from berth_cli.admin.doctor import facts
from berth_cli.admin.tokens import claims, cleanup, records
from berth_cli.ui.errors import NOT_FOUND, CliError
from berth_core.kube.client import Client
from berth_core.kube.errors import ForbiddenError, NotFoundError
from berth_core.kube.model import parse_time, timestamp
from berth_core.kube.types import Kind

NAMESPACES: Final = Kind("v1", "namespaces", namespaced=False)
LEAST_DIGITS: Final = 8
MOST_KEPT: Final = timedelta(days=3660)
"""Longest time for which a revocation is kept, whatever the token's own expiry."""
_HEX: Final = re.compile(rf"[0-9a-f]{{{LEAST_DIGITS},64}}")


@dataclass(frozen=True)
class Target:
    """A token by its SHA-256 or the beginning of it, with its own expiry (seconds since the Epoch) if known."""

    sha256: str
    exp: int | None = None


@dataclass(frozen=True)
class Wish:
    """A token, its required user (None: anyone), and its longest life where its expiry is unknown."""

    target: Target
    user: str | None
    life: timedelta | None


def target(text: str) -> Target:
    """Read a token, or the hex digits of its SHA-256. Raises ValueError.

    A token's own `exp` may be trusted unverified: the revocation is for exactly this text, and a forged token never
    counts.
    """
    text = text.strip()
    if _HEX.fullmatch(text.lower()):
        return Target(text.lower())
    try:
        payload = jwt.decode(text, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise ValueError(
            f"this is neither a token nor a SHA-256 ({LEAST_DIGITS} to 64 hex digits): `berth token list` shows them"
        ) from error
    exp = payload.get("exp")
    if isinstance(exp, int | float) and math.isfinite(exp):
        return Target(claims.digest(text), int(exp))
    return Target(claims.digest(text))


def until(wish: Wish, recorded: str | None, now: datetime) -> datetime:
    """Expiry of the token: as recorded, else its own, else as the caller says, else after the longest life."""
    if recorded is not None:
        return parse_time(recorded)
    latest = now + MOST_KEPT
    if wish.target.exp is not None:
        return datetime.fromtimestamp(max(0, min(wish.target.exp, int(latest.timestamp()))), UTC)
    return min(now + (wish.life or claims.LONGEST_LIFE), latest)


@dataclass(frozen=True)
class Aftermath:
    """Where to look for a token's objects: named namespaces, else the workspace namespaces of a release."""

    release: str
    workspaces: Sequence[str]


async def revoke(client: Client, namespace: str, wish: Wish, aftermath: Aftermath | None = None) -> str:
    """Revoke the token, then end its objects where that is asked for. Returns what was done. Raises CliError."""
    sha256 = await records.whole(client, namespace, wish.target.sha256)
    record = await records.find(client, namespace, sha256)
    if record is not None and wish.user not in (None, record.spec.user):
        raise CliError(
            f"that token is {record.spec.user}'s, not {wish.user}'s: name the right user, or leave --user out"
        )
    name = f"token {sha256} of {record.spec.user}" if record else f"token {sha256}"
    now = await server_time(client)
    end = until(wish, record.spec.expires if record else None, now)
    if end <= now:
        message = f"{name} expired at {timestamp(end)}: nothing to revoke"
        return "\n".join([message, *await _end_objects(client, aftermath, sha256, message)])
    revoked_until = await records.revoke(client, namespace, sha256, wish.user, end)
    has_end = record is not None or wish.target.exp is not None
    if has_end and parse_time(revoked_until) < end:
        raise CliError(
            f"{name} is revoked until {revoked_until} only, and lives until {timestamp(end)}: delete that"
            " TokenRevocation (kubectl get tokenrevocations) and repeat the command"
        )
    message = f"{name} is revoked; the revocation is kept until {revoked_until}"
    return "\n".join([message, *await _end_objects(client, aftermath, sha256, message)])


async def _end_objects(client: Client, aftermath: Aftermath | None, sha256: str, message: str) -> list[str]:
    """End a token's objects. The CliError for an unknown place to look repeats what was done before (``message``)."""
    if aftermath is None:
        return []
    places = list(aftermath.workspaces) or await facts.workspaces_of(client, aftermath.release)
    if not places:
        raise CliError(
            f"{message}. Its objects were not looked for: there is no operator in namespace {aftermath.release} that"
            " says where; repeat the command with --workspaces, or with the release's --namespace",
            NOT_FOUND,
        )
    for place in places:
        if not await _is_there(client, place):
            raise CliError(f"{message}. Its objects were not looked for: there is no namespace {place}", NOT_FOUND)
    lines = await cleanup.end(client, places, sha256)
    return lines or [f"nothing that it made is left in {', '.join(places)}"]


async def _is_there(client: Client, namespace: str) -> bool:
    """Whether a namespace exists: a list in a missing one is empty."""
    try:
        await client.get(NAMESPACES, None, namespace)
    except NotFoundError:
        return False
    except ForbiddenError:
        return True  # in a missing namespace a caller with few rights may not list
    return True
