"""Records of issued and of revoked tokens. Kept in the access namespace."""

from collections.abc import Iterable
from datetime import datetime

from berth_cli.ui.errors import NOT_FOUND, CliError
from berth_cli.ui.reading import readable
from berth_core import ids, names
from berth_core.kube.client import Client
from berth_core.kube.errors import AlreadyExistsError, NotFoundError
from berth_core.kube.model import is_time, parse_time, timestamp
from berth_core.reading import at
from berth_core.resources import IssuedToken, IssuedTokenSpec, TokenRevocation, TokenRevocationSpec, manifest


async def record(client: Client, namespace: str, spec: IssuedTokenSpec, kid: str) -> None:
    """Record a new token, and the key that signed it."""
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY}
    body = manifest(IssuedToken, namespace, spec.sha256, spec, labels=labels, annotations={names.KID_ANNOTATION: kid})
    try:
        await client.create(IssuedToken.api(), namespace, body)
    except NotFoundError as error:
        raise CliError(
            f"the token cannot be recorded, so it is not given out ({error.message}): name the namespace for"
            " what users may fetch with --access-namespace, or install Berth with helm",
            NOT_FOUND,
        ) from error


async def issued(client: Client, namespace: str, user: str | None = None) -> list[IssuedToken]:
    """Return the recorded tokens; only a user's where one is named."""
    fields = None if user is None else {"spec.user": user}
    objects, _ = await client.list(IssuedToken.api(), namespace, fields=fields)
    return readable(IssuedToken, objects)


async def revocations(client: Client, namespace: str) -> list[TokenRevocation]:
    """Return all revocations."""
    objects, _ = await client.list(TokenRevocation.api(), namespace)
    return readable(TokenRevocation, objects)


async def whole(client: Client, namespace: str, sha256: str) -> str:
    """Return the SHA-256 that begins with some digits, by the only record that has them. Raises CliError."""
    if len(sha256) == 64:
        return sha256
    objects, _ = await client.list(IssuedToken.api(), namespace, metadata_only=True)
    matches = [name for obj in objects if (name := str(obj["metadata"]["name"])).startswith(sha256)]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise CliError(f"no recorded token's SHA-256 begins with {sha256}: give all 64 digits, or the token", NOT_FOUND)
    raise CliError(f"{len(matches)} tokens' SHA-256 begin with {sha256}: give more digits (berth token list -o json)")


async def find(client: Client, namespace: str, sha256: str) -> IssuedToken | None:
    """Return the record of a token; None where there is none, or where it cannot be read."""
    try:
        obj = await client.get(IssuedToken.api(), namespace, sha256)
    except NotFoundError:
        return None
    return next(iter(readable(IssuedToken, [obj])), None)


async def revoke(client: Client, namespace: str, sha256: str, user: str | None, expires: datetime) -> str:
    """Revoke a token until its expiry. Safe to repeat. Returns until when the revocation is kept."""
    spec = TokenRevocationSpec(sha256=sha256, user=user, expires=timestamp(expires))
    name = ids.revocation(sha256, user)
    body = manifest(TokenRevocation, namespace, name, spec, labels={names.MANAGED_BY_LABEL: names.MANAGED_BY})
    try:
        await client.create(TokenRevocation.api(), namespace, body)
    except AlreadyExistsError:
        there = await client.get(TokenRevocation.api(), namespace, name)
        end = at(there, "spec", "expires")
        # An unreadable revocation ends its token too.
        return end if is_time(end) else TokenRevocation.parse(there).spec.expires
    return spec.expires


def ends(revocation: TokenRevocation, token: IssuedTokenSpec) -> bool:
    """Whether a revocation applies to the token and its user. Pure."""
    return revocation.spec.sha256 == token.sha256 and revocation.spec.user in (None, token.user)


def still_counts(
    tokens: Iterable[IssuedToken], ended: Iterable[TokenRevocation], tokens_valid_after: str | None, now: datetime
) -> list[IssuedToken]:
    """Tokens of a user that are neither expired, nor revoked, nor ended by the user's purge. Pure."""
    revoked: dict[str, list[TokenRevocation]] = {}
    for revocation in ended:
        revoked.setdefault(revocation.spec.sha256, []).append(revocation)
    return [
        token
        for token in tokens
        if parse_time(token.spec.expires) > now
        and not ended_by_purge(token.spec, tokens_valid_after)
        and not any(ends(revocation, token.spec) for revocation in revoked.get(token.spec.sha256, []))
    ]


def ended_by_purge(token: IssuedTokenSpec, tokens_valid_after: str | None) -> bool:
    """Whether a purge ended the token. Pure."""
    return tokens_valid_after is not None and parse_time(token.issued) < parse_time(tokens_valid_after)
