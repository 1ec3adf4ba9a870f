"""Ending one token, by its text or its SHA-256."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import jwt

from berth_cli import aftermath, ledger, tokens
from berth_cli.cluster import server_time
from berth_cli.errors import CliError
from berth_core.client import Client
from berth_core.model import parse_time, timestamp

LEAST_DIGITS: Final = 8
MOST_KEPT: Final = timedelta(days=3660)
"""No revocation is kept longer, whatever a token says of itself."""
_HEX: Final = re.compile(rf"[0-9a-f]{{{LEAST_DIGITS},64}}")


@dataclass(frozen=True)
class Target:
    """Which token: its SHA-256 or the beginning of it, and when it expires (seconds since the Epoch) if it says so."""

    sha256: str
    exp: int | None = None


@dataclass(frozen=True)
class Wish:
    """A token, whose it must be (None: anyone's), and how long it lives at most where nothing else says it."""

    target: Target
    user: str | None
    life: timedelta | None


def target(text: str) -> Target:
    """Read a token, or the hex digits of its SHA-256. Raises ValueError.

    A token's own `exp` may be believed unverified: the revocation is of exactly this text, and one that is not
    what it says it is never counted.
    """
    text = text.strip()
    if _HEX.fullmatch(text.lower()):
        return Target(text.lower())
    try:
        said = jwt.decode(text, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise ValueError(
            f"this is neither a token nor a SHA-256 ({LEAST_DIGITS} to 64 hex digits): `berth token list` shows them"
        ) from error
    exp = said.get("exp")
    if isinstance(exp, int | float) and math.isfinite(exp):
        return Target(tokens.digest(text), int(exp))
    return Target(tokens.digest(text))


def until(wish: Wish, recorded: str | None, now: datetime) -> datetime:
    """When the token ends by itself: as recorded, else as it says, else as the caller says, else the longest life."""
    if recorded is not None:
        return parse_time(recorded)
    latest = now + MOST_KEPT
    if wish.target.exp is not None:
        return datetime.fromtimestamp(max(0, min(wish.target.exp, int(latest.timestamp()))), UTC)
    return min(now + (wish.life or tokens.LONGEST_LIFE), latest)


async def revoke(client: Client, namespace: str, wish: Wish, workspaces: Sequence[str] = ()) -> str:
    """Revoke the token, and end what it made in some namespaces. Returns what was done. Raises CliError."""
    sha256 = await ledger.whole(client, namespace, wish.target.sha256)
    record = await ledger.find(client, namespace, sha256)
    if record is not None and wish.user not in (None, record.spec.user):
        raise CliError(
            f"that token is {record.spec.user}'s, not {wish.user}'s: name the right user, or leave --user out"
        )
    name = f"token {sha256} of {record.spec.user}" if record else f"token {sha256}"
    now = await server_time(client)
    end = until(wish, record.spec.expires if record else None, now)
    if end <= now:
        told = f"{name} expired at {timestamp(end)}: nothing to revoke"
        return "\n".join([told, *await _ended(client, workspaces, sha256)])
    kept = await ledger.revoke(client, namespace, sha256, wish.user, end)
    known = record is not None or wish.target.exp is not None
    if known and parse_time(kept) < end:
        raise CliError(
            f"{name} is revoked until {kept} only, and lives until {timestamp(end)}: delete that TokenRevocation"
            " (kubectl get tokenrevocations) and repeat the command"
        )
    told = f"{name} is revoked; the revocation is kept until {kept}"
    return "\n".join([told, *await _ended(client, workspaces, sha256)])


async def _ended(client: Client, workspaces: Sequence[str], sha256: str) -> list[str]:
    if not workspaces:
        return []
    done = await aftermath.end(client, workspaces, sha256)
    return done or [f"nothing that it made is left in {', '.join(workspaces)}"]
