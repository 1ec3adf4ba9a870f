"""Changing the keys that sign tokens. Each step is a compare-and-swap; a repeat goes on where a crash left it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from berth_cli.admin.cluster import server_time
from berth_cli.admin.keys import keyring, material, publishing
from berth_cli.admin.keys.keyring import Keyring, Row
from berth_cli.admin.keys.publishing import SECRETS
from berth_cli.admin.tokens import records
from berth_cli.ui.errors import NOT_FOUND, CliError
from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.errors import NotFoundError
from berth_core.kube.swap import swap
from berth_core.resources import IssuedToken


@dataclass(frozen=True)
class Rotation:
    """Result of a rotation. ``signs_from`` is None for a key that signs now; ``joined``: it was begun before."""

    kid: str
    before: str
    signs_from: datetime | None
    joined: bool


@dataclass(frozen=True)
class Removal:
    """Effect of the removal of a key: the recorded tokens that end with it."""

    kid: str
    tokens: tuple[IssuedToken, ...]


async def look(client: Client, namespace: str) -> Keyring:
    """Read the keys. Raises CliError where there are none."""
    try:
        return Keyring.parse(await client.get(SECRETS, namespace, names.SIGNING_SECRET))
    except NotFoundError as error:
        raise CliError(
            f"there is no Secret {names.SIGNING_SECRET} in namespace {namespace}: name the namespace of Berth's"
            " release with --namespace, or install Berth with helm",
            NOT_FOUND,
        ) from error


async def listing(client: Client, namespace: str) -> list[Row]:
    """Return all keys, held and published."""
    ring = await look(client, namespace)
    published = publishing.kids(publishing.jwks(await publishing.read(client, namespace)))
    return keyring.rows(ring, published, await server_time(client))


async def rotate(client: Client, namespace: str, *, at_once: bool) -> Rotation:
    """Make a key, publish it, and set the time from which it signs; a rotation under way is finished instead."""
    new_kid, pem = material.new_signing_key()
    ring = await _swap(client, namespace, lambda ring, now: keyring.with_next(ring, new_kid, pem, now))
    kid, before = ring.next, ring.active
    if kid is None or before is None:
        raise CliError("the rotation was undone by somebody else: see `berth key list`, and repeat the command")
    renew = kid in await publishing.publish(client, namespace)
    ring = await _swap(client, namespace, lambda ring, now: keyring.timed(ring, kid, now, renew=renew, at_once=at_once))
    if kid not in (ring.active, ring.next):
        raise CliError(f"key {kid} was removed by somebody else meanwhile: see `berth key list`")
    return Rotation(kid, before, signs_from=ring.next_from if ring.next == kid else None, joined=kid != new_kid)


async def removal(client: Client, namespace: str, access: str, kid: str) -> Removal:
    """Find the tokens that the removal of a key ends. Raises CliError for the signing key and an unknown one."""
    ring = await look(client, namespace)
    now = await server_time(client)
    published = publishing.kids(publishing.jwks(await publishing.read(client, namespace)))
    if kid not in ring.held.keys() | published:
        raise CliError(f"there is no key {kid}: `berth key list` shows them", NOT_FOUND)
    keyring.without(ring, kid, now)
    recorded = await records.issued(client, access)
    signed = [token for token in recorded if token.metadata.annotations.get(names.KID_ANNOTATION) == kid]
    tokens = records.still_counts(signed, await records.revocations(client, access), None, now)
    return Removal(kid, tuple(sorted(tokens, key=lambda token: (token.spec.user, token.spec.issued))))


async def remove(client: Client, namespace: str, kid: str) -> None:
    """Remove a key: the private half first, then the public one. Raises CliError for the key that signs."""
    await _swap(client, namespace, lambda ring, now: keyring.without(ring, kid, now))
    await publishing.unpublish(client, namespace, kid)


async def _swap(client: Client, namespace: str, change: Callable[[Keyring, datetime], Keyring]) -> Keyring:
    """Change the Secret by compare-and-swap; returns its present keys."""

    async def attempt() -> Keyring:
        before = await look(client, namespace)
        after = change(before, await server_time(client))
        if after != before:
            await client.patch(SECRETS, namespace, names.SIGNING_SECRET, keyring.change(before, after))
        return after

    return await swap(attempt, f"Secret {names.SIGNING_SECRET}")
