"""The register of tokens: their users, their rights, and whether they still count. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from berth_cli.admin.tokens import records
from berth_core import names
from berth_core.kube.model import parse_time
from berth_core.resources import Account, IssuedToken, IssuedTokenSpec, TokenRevocation

COUNTS = "counts"
EXPIRED = "expired"
REVOKED = "revoked"
PURGED = "purged"
KEY_REMOVED = "key removed"


@dataclass(frozen=True)
class Row:
    """One token. ``state`` is counts, expired, revoked, purged, or key removed; times are RFC 3339."""

    sha256: str
    user: str
    may: str
    issued: str
    until: str
    state: str
    superuser: bool
    read_only: bool
    instance: str | None
    types: list[str]
    kid: str | None

    def wire(self) -> dict[str, Any]:
        """As `--output json` and `yaml` print it."""
        return dict(vars(self))


@dataclass(frozen=True)
class Seen:
    """Facts that decide whether tokens count: revocations, accounts by user, kids that verify."""

    revocations: Mapping[str, list[TokenRevocation]]
    accounts: Mapping[str, Account]
    kids: frozenset[str]

    @classmethod
    def of(cls, revocations: Iterable[TokenRevocation], accounts: Iterable[Account], kids: frozenset[str]) -> "Seen":
        """Index them for look-ups."""
        by_digest: dict[str, list[TokenRevocation]] = {}
        for revocation in revocations:
            by_digest.setdefault(revocation.spec.sha256, []).append(revocation)
        return cls(by_digest, {account.spec.user: account for account in accounts}, kids)


def rows(tokens: Iterable[IssuedToken], state: Seen, now: datetime) -> list[Row]:
    """Return one row a token, by user, the newest first."""
    entries = [_row(token, state, now) for token in tokens]
    entries.sort(key=lambda row: parse_time(row.issued), reverse=True)
    return sorted(entries, key=lambda row: row.user)


def may(spec: IssuedTokenSpec) -> str:
    """Rights of a token, in words.

    >>> may(IssuedTokenSpec(sha256="0" * 64, user="a", issued="", expires="", read_only=True, types=["b", "c"]))
    'read, types b, c'
    """
    words = ["everything" if spec.superuser else "read" if spec.read_only else "read and write"]
    if spec.superuser and spec.read_only:
        words = ["read everything"]
    if spec.own:
        words.append("own machines")
    if spec.instance:
        words.append(f"instance {spec.instance}")
    if spec.types:
        words.append(f"types {', '.join(spec.types)}")
    return ", ".join(words)


def _row(token: IssuedToken, state: Seen, now: datetime) -> Row:
    spec, kid = token.spec, token.metadata.annotations.get(names.KID_ANNOTATION)
    return Row(
        sha256=spec.sha256,
        user=spec.user,
        may=may(spec),
        issued=spec.issued,
        until=spec.expires,
        state=_state(spec, kid, state, now),
        superuser=spec.superuser,
        read_only=spec.read_only,
        instance=spec.instance,
        types=spec.types,
        kid=kid,
    )


def _state(spec: IssuedTokenSpec, kid: str | None, state: Seen, now: datetime) -> str:
    account = state.accounts.get(spec.user)
    if parse_time(spec.expires) <= now:
        return EXPIRED
    if any(records.ends(revocation, spec) for revocation in state.revocations.get(spec.sha256, [])):
        return REVOKED
    if account and records.ended_by_purge(spec, account.spec.tokens_valid_after):
        return PURGED
    if kid is not None and kid not in state.kids:
        return KEY_REMOVED
    return COUNTS
