"""What has a time of its own to go: revocations, issued tokens, and Secrets with an expiry, in the access namespace.

One key lists all of them, deletes what is due in small batches, and comes back for the next.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog

from berth_core import names
from berth_core.client import Kind, Object
from berth_core.model import parse_time
from berth_core.reading import readable
from berth_core.resources import IssuedToken, TokenRevocation
from berth_operator.kinds import ISSUED, REVOCATIONS, SECRETS
from berth_operator.queueing import Key
from berth_operator.together import together
from berth_operator.world import World

log = structlog.get_logger(__name__)

GRACE: Final = timedelta(seconds=30)
"""A revocation outlives its token by this, since the clocks of those who check tokens differ a little."""
SHORTEST_WAIT: Final = 30.0
LONGEST_WAIT: Final = 300.0
BATCH: Final = 16
MOST_AT_ONCE: Final = 512
"""Deleted in one pass; the rest follows in the next."""


class Due(NamedTuple):
    """An object, and when it goes."""

    at: datetime
    kind: Kind
    name: str
    uid: str


async def sweep_expired(world: World, _key: Key) -> float | None:
    """Delete what has expired; seconds after which to look again."""
    if not world.clock.trusted:
        return SHORTEST_WAIT
    found = await _found(world)
    now = world.now()
    due = sorted((one for one in found if one.at <= now), key=lambda one: one.at)
    for start in range(0, min(len(due), MOST_AT_ONCE), BATCH):
        await together(*(_delete(world, one) for one in due[start : start + BATCH]))
    if due:
        log.info("deleted what had expired", deleted=min(len(due), MOST_AT_ONCE), left=max(len(due) - MOST_AT_ONCE, 0))
    return next_look([one.at for one in found], now, more=len(due) > MOST_AT_ONCE)


def next_look(times: list[datetime], now: datetime, *, more: bool) -> float:
    """Seconds until something expires, within bounds: no busy loop, and no long wait for what is made meanwhile."""
    if more:
        return 0.0
    until = min((at - now for at in times if at > now), default=timedelta.max).total_seconds()
    return min(max(until, SHORTEST_WAIT), LONGEST_WAIT)


async def _delete(world: World, one: Due) -> None:
    await world.client.delete(one.kind, world.config.access_namespace, one.name, uid=one.uid)


async def _found(world: World) -> list[Due]:
    namespace = world.config.access_namespace
    found: list[Due] = []
    revoked, _ = await world.client.list(REVOCATIONS, namespace)
    issued, _ = await world.client.list(ISSUED, namespace)
    tokens: list[TokenRevocation | IssuedToken] = [
        *readable(TokenRevocation, revoked),
        *readable(IssuedToken, issued),
    ]
    for one in tokens:
        found.append(Due(parse_time(one.spec.expires) + GRACE, one.api(), one.metadata.name, one.metadata.uid))
    secrets, _ = await world.client.list(SECRETS, namespace, metadata_only=True)
    found += _annotated(secrets)
    return found


def _annotated(secrets: list[Object]) -> Iterator[Due]:
    for secret in secrets:
        metadata = secret["metadata"]
        text = metadata.get("annotations", {}).get(names.EXPIRES_ANNOTATION)
        if text is None:
            continue
        at = _time(text)
        if at is None:
            log.warning("kept, since its expiry is no time such as 2030-01-31T12:00:00Z", secret=metadata["name"])
        else:
            yield Due(at, SECRETS, metadata["name"], metadata["uid"])


def _time(text: str) -> datetime | None:
    """People write annotations too, and nothing checks them."""
    try:
        at = parse_time(text)
    except ValueError:
        return None
    return at if at.tzinfo else None
