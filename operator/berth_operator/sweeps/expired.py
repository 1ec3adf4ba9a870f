"""Deletes what has expired in the access namespace: revocations, issued tokens, records of requests with a key.

One key reads all of them, a page at a time, deletes what is due in small batches, and comes back for the next. Of a
user's records that hold a refusal the oldest go too, where they are too many; no other record goes before its time.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from heapq import heappush, heappushpop
from typing import Final, NamedTuple

import structlog

from berth_core import names
from berth_core.kube.model import parse_time
from berth_core.kube.types import Kind, Object
from berth_core.reading import read
from berth_core.resources import IssuedToken, TokenRevocation
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.engine.writes import together
from berth_operator.kinds import ISSUED, REVOCATIONS, SECRETS

log = structlog.get_logger(__name__)

GRACE: Final = timedelta(seconds=30)
"""A revocation outlives its token by this, since the clocks of processes that check tokens differ a little."""
SHORTEST_WAIT: Final = 30.0
LONGEST_WAIT: Final = 300.0
MOST_REFUSALS: Final = 1000
"""Records of one user that hold a refusal."""
BATCH: Final = 16
MOST_AT_ONCE: Final = 512
"""Deleted in one pass, but for the rest of a page; what is left follows in the next."""


class Due(NamedTuple):
    """An object, and when it goes."""

    at: datetime
    kind: Kind
    metadata: Object


async def sweep_expired(world: World, _key: Key) -> float | None:
    """Delete expired objects, and the oldest of too many refusals; return the seconds after which to look again."""
    if not world.clock.trusted:
        return SHORTEST_WAIT
    now, deleted, refusals = world.now(), 0, Refusals()
    soonest = datetime.max.replace(tzinfo=UTC)
    async for page in _pages(world):
        due, waiting = ([one for one in page if (one.at <= now) is over] for over in (True, False))
        due += filter(None, map(refusals.add, waiting))
        soonest = min([soonest, *(one.at for one in waiting)])
        for start in range(0, len(due), BATCH):
            await together(*(_delete(world, one) for one in due[start : start + BATCH]))
        deleted += len(due)
        if deleted >= MOST_AT_ONCE:
            break
    if deleted:
        log.info("deleted expired objects, and those beyond the bounds", deleted=deleted)
    return next_look([soonest], now, more=deleted >= MOST_AT_ONCE)


class Refusals:
    """Kept refusals by user, as the pages of a sweep show them: of each user the newest. Pure but for its state."""

    def __init__(self, most: int = MOST_REFUSALS) -> None:
        self._most = most
        self._newest: defaultdict[str, list[tuple[str, str, Due]]] = defaultdict(list)

    def add(self, one: Due) -> Due | None:
        """Take note of an object; return the oldest of its user's refusals where they are too many now."""
        user = (one.metadata.get("labels") or {}).get(names.REFUSED_LABEL)
        if user is None:
            return None
        newest, entry = self._newest[user], (one.metadata["creationTimestamp"], one.metadata["name"], one)
        if len(newest) < self._most:
            heappush(newest, entry)
            return None
        return heappushpop(newest, entry)[2]


def next_look(times: list[datetime], now: datetime, *, more: bool) -> float:
    """Seconds until something expires, within bounds: no busy loop, and no long wait for what is made meanwhile."""
    if more:
        return 0.0
    until = min((at - now for at in times if at > now), default=timedelta.max).total_seconds()
    return min(max(until, SHORTEST_WAIT), LONGEST_WAIT)


async def _delete(world: World, one: Due) -> None:
    name, uid = one.metadata["name"], one.metadata["uid"]
    await world.client.delete(one.kind, world.config.access_namespace, name, uid=uid)


async def _pages(world: World) -> AsyncIterator[list[Due]]:
    """Yield all objects that expire, some at a time: nothing but their makers bounds their number."""
    client, namespace = world.client, world.config.access_namespace
    models: dict[Kind, type[TokenRevocation | IssuedToken]] = {REVOCATIONS: TokenRevocation, ISSUED: IssuedToken}
    for kind, model in models.items():
        async for objects, _ in client.pages(kind, namespace):
            pairs = [(obj["metadata"], read(model, obj)) for obj in objects]
            yield [Due(parse_time(one.spec.expires) + GRACE, kind, metadata) for metadata, one in pairs if one]
    async for secrets, _ in client.pages(SECRETS, namespace, labels={names.IDEMPOTENCY_LABEL: ""}, metadata_only=True):
        yield list(_annotated(secrets))


def _annotated(secrets: Iterable[Object]) -> Iterator[Due]:
    for secret in secrets:
        metadata = secret["metadata"]
        at = _time(metadata.get("annotations", {}).get(names.EXPIRES_ANNOTATION) or "")
        if at is None:
            log.warning("kept, since its expiry is no time such as 2030-01-31T12:00:00Z", secret=metadata["name"])
        else:
            yield Due(at, SECRETS, metadata)


def _time(text: str) -> datetime | None:
    """People write annotations too, and nothing checks them."""
    try:
        at = parse_time(text)
    except ValueError:
        return None
    return at if at.tzinfo else None
