"""The end of tokens: TokenRevocation resources, and Accounts with the time from which tokens count.

A change is answered once this replica applies it. The other replicas watch the same resources.
"""

import asyncio
import math
import time
import weakref
from datetime import UTC, datetime
from typing import Final

import structlog

from berth_api.auth import access
from berth_api.auth.access import Scope
from berth_api.auth.identity import Identity
from berth_api.http.errors import BadRequestError
from berth_api.state import State
from berth_core import ids, names, reading
from berth_core.kube import errors as cluster
from berth_core.kube.swap import swap
from berth_core.resources import (
    Account,
    AccountSpec,
    IssuedToken,
    TokenRevocation,
    TokenRevocationSpec,
    manifest,
    parse_time,
    timestamp,
)

log = structlog.get_logger(__name__)

MOST_IN_ADVANCE: Final = 1000
LOOP_EARLY: Final = 0.005
"""Seconds by which event loops may wake too early, since uvloop rounds to milliseconds."""

_in_turn: "weakref.WeakValueDictionary[str, asyncio.Lock]" = weakref.WeakValueDictionary()
"""One lock for each caller that revokes in advance at the moment."""


async def revoke(state: State, identity: Identity, sha256: str) -> None:
    """End one token of the caller's, or for a superuser anyone's, by its SHA-256 (hex). Safe to repeat.

    A token may always end itself; to end others it must be neither read-only nor for one instance only. An unknown hash
    is revoked in advance, at most :data:`MOST_IN_ADVANCE` of one caller. This process counts them one after the other;
    a caller who asks several replicas at once may exceed the number by a few for each replica, while a watch lags.

    Raises:
        BadRequestError: the token may not do it, or too many are revoked in advance.
        AwayError: it is not sure yet that the revocation is applied.

    """
    if sha256 != identity.digest:
        access.need_unconstrained(identity)
        access.need_write(identity, Scope.CHANGE)
    user = None if identity.superuser else identity.user
    expires = await _expires(state, identity, sha256)
    caller = ids.user_object(identity.user)
    if expires is not None:
        await _write_revocation(state, TokenRevocationSpec(sha256=sha256, user=user, expires=expires), {})
    else:
        async with _in_turn.setdefault(caller, asyncio.Lock()):
            await _revoke_in_advance(state, sha256, user, caller)
    log.info("token revoked", token_sha256=sha256, user=user or "*", in_advance=expires is None)


async def _expires(state: State, identity: Identity, sha256: str) -> str | None:
    """Expiry of a token of the caller's; None where Berth does not know the token."""
    if sha256 == identity.digest:
        return _time(identity.expires)
    try:
        obj = await state.client.get(IssuedToken.api(), state.config.access_namespace, sha256)
    except cluster.NotFoundError:
        return None
    # An unreadable record tells neither the token's user nor its expiry.
    issued = reading.read(IssuedToken, obj)
    if issued is None:
        return None
    return issued.spec.expires if identity.superuser or issued.spec.user == identity.user else None


async def _revoke_in_advance(state: State, sha256: str, user: str | None, caller: str) -> None:
    if state.revocations.is_revoked(sha256, user):
        return
    if state.revocations.in_advance(caller) >= MOST_IN_ADVANCE:
        raise BadRequestError(
            f"{MOST_IN_ADVANCE} unknown tokens are revoked in advance, which is the most: check the hash,"
            " or end all tokens with POST /purge"
        )
    expires = _time(state.client.clock.now().timestamp() + state.config.longest_token_life)
    spec = TokenRevocationSpec(sha256=sha256, user=user, expires=expires)
    await _write_revocation(state, spec, {names.IN_ADVANCE_LABEL: caller})


async def _write_revocation(state: State, spec: TokenRevocationSpec, labels: dict[str, str]) -> None:
    """Make the revocation. Beside one that ends earlier, make another, since revocations are immutable."""
    name, until = ids.revocation(spec.sha256, spec.user), parse_time(spec.expires).timestamp()
    labels = labels | {names.MANAGED_BY_LABEL: names.MANAGED_BY}
    for own_name in (name, f"{name}-{until:.0f}"):
        await _create_revocation(state, own_name, spec, labels)
        await state.revocations.revocation_shown(spec.sha256, spec.user)
        if state.revocations.revoked_until(spec.sha256, spec.user) >= until:
            break


async def _create_revocation(state: State, name: str, spec: TokenRevocationSpec, labels: dict[str, str]) -> None:
    namespace = state.config.access_namespace
    try:
        body = manifest(TokenRevocation, namespace, name, spec, labels=labels)
        await state.client.create(TokenRevocation.api(), namespace, body)
    except cluster.AlreadyExistsError:
        log.info("token was revoked before", token_sha256=spec.sha256)


async def purge_by_token(state: State, identity: Identity) -> None:
    """End all tokens of the caller; see :func:`purge`."""
    access.need_unconstrained(identity)
    access.need_write(identity, Scope.CHANGE)
    await purge(state, identity.user, iat=identity.issued)


async def purge(state: State, user: str, *, iat: float | None = None) -> None:
    """End all tokens of a user that were issued until now; those issued after this returns count.

    ``iat`` has whole seconds, so tokens issued from the next full second on count, and this returns when that second
    has come. It goes by the store's time: where a slower clock issues tokens, new ones count that much later. ``iat``
    is that of the token that is the proof, which can come from a clock that is ahead.

    Raises:
        AwayError: it is not sure yet that the purge is applied.

    """
    start, (earliest, latest) = time.monotonic(), state.client.clock.bounds()
    valid_after = counts_from(latest, iat)
    await swap(lambda: _write_valid_after(state, user, valid_after), f"the account of {user}")
    await state.revocations.valid_after_shown(user, valid_after)
    # Not by the wall clock, which may be set back meanwhile.
    await asyncio.sleep(max(0.0, start + valid_after - earliest - time.monotonic()) + LOOP_EARLY)
    log.info("tokens purged", user=user, valid_after=_time(valid_after))


def counts_from(now: float, iat: float | None) -> int:
    """First second in which a token can be issued to count after a purge. Pure; seconds since the Epoch."""
    return math.floor(max(now, iat or now)) + 1


async def _write_valid_after(state: State, user: str, valid_after: int) -> None:
    """Write the time into the user's Account, which is made if there is none. Raises ConflictError."""
    namespace, kind = state.config.access_namespace, Account.api()
    accounts, _ = await state.client.list(kind, namespace, fields={"spec.user": user})
    if not accounts:
        spec = AccountSpec(user=user, tokens_valid_after=_time(valid_after))
        await state.client.create(kind, namespace, manifest(Account, namespace, ids.user_object(user), spec))
        return
    oldest = min(map(Account.parse, accounts), key=lambda a: (a.metadata.creation_timestamp, a.metadata.name))
    before = oldest.spec.tokens_valid_after
    if before is not None and parse_time(before).timestamp() >= valid_after:
        return
    version = {"resourceVersion": oldest.metadata.resource_version}
    body = {"metadata": version, "spec": {"tokensValidAfter": _time(valid_after)}}
    await state.client.patch(kind, namespace, oldest.metadata.name, body)


def _time(seconds: float) -> str:
    """Write a time as resources do, rounded up to whole seconds."""
    return timestamp(datetime.fromtimestamp(math.ceil(seconds), UTC))
