"""List-and-watch: keeps a cache like the cluster.

One task follows each namespace. After a break the watch goes on from the last resourceVersion. When that is too old
(410), the collection is listed again: the cache takes in what has changed meanwhile, and forgets what vanished. A list
is read and taken in in small pieces, between which the event loop serves other tasks: meanwhile readers see a mix of
older and newer objects.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Generic

import structlog

from berth_core.kube import errors
from berth_core.kube.cache import Cache, Key, Value, key_of, strip_bookkeeping
from berth_core.kube.client import Client
from berth_core.kube.types import Kind, Object

log = structlog.get_logger(__name__)

FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 5.0
PIECE: Final = 25
"""Objects of a list that are taken in before other tasks run on the event loop."""


def _nobody_listens() -> None:
    """Do nothing."""


class Reflector(Generic[Value]):
    """Feeds a cache with the objects of a kind in some namespaces.

    ``labels`` and ``fields`` choose the objects. ``longest_delay`` is the longest pause, in seconds, between attempts
    at a watch that fail. ``changed`` is called after each list and each event; it must not block.
    """

    def __init__(
        self,
        client: Client,
        kind: Kind,
        namespaces: Iterable[str],
        cache: Cache[Value],
        *,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        longest_delay: float = LONGEST_DELAY,
        changed: Callable[[], None] = _nobody_listens,
    ) -> None:
        self.cache = cache
        self._client = client
        self._kind = kind
        self._labels = labels
        self._fields = fields
        self._changed = changed
        self._longest_delay = longest_delay
        self._first_lists = {namespace: asyncio.Event() for namespace in namespaces}
        self._broken_since: dict[str, float] = {}
        self._versions: dict[str, int] = {}

    async def run(self) -> None:
        """Keep the cache current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for namespace in self._first_lists:
                tasks.create_task(self._follow(namespace))

    async def synced(self) -> None:
        """Wait until every namespace has been listed once."""
        for event in self._first_lists.values():
            await event.wait()

    @property
    def is_synced(self) -> bool:
        """Whether every namespace has been listed once."""
        return all(event.is_set() for event in self._first_lists.values())

    def broken_for(self, monotonic_now: float) -> float:
        """Seconds since the oldest break of a watch that is still broken; 0 when all watches stand."""
        return max((monotonic_now - since for since in self._broken_since.values()), default=0.0)

    def version(self, namespace: str) -> int:
        """Greatest resourceVersion up to which the cache has all changes of a namespace; 0 before the first list.

        It is comparable, as an integer, with those of other kinds of the same API group: by contract since Kubernetes
        1.35 within a kind, and in fact within one etcd.
        """
        return self._versions.get(namespace, 0)

    async def _follow(self, namespace: str) -> None:
        loop = asyncio.get_running_loop()
        delay, version = FIRST_DELAY, None

        def stands() -> None:
            # Only once the server has accepted the watch: a failed attempt must not make the break look new.
            self._broken_since.pop(namespace, None)

        while True:
            pause = FIRST_DELAY
            try:
                if version is None:
                    version = await self._list(namespace)
                watch = self._client.watch(
                    self._kind, namespace, version, labels=self._labels, fields=self._fields, opened=stands
                )
                async for event in watch:
                    version, delay = event.object["metadata"]["resourceVersion"], FIRST_DELAY
                    if event.type == "DELETED":
                        self.cache.remove(event.object)
                    elif event.type != "BOOKMARK":
                        self._hear(event.object)
                    self._versions[namespace] = int(version)
                    self._changed()
            except errors.GoneError:
                version = None
            except errors.ClusterError as error:
                log.warning("watch broke", kind=self._kind.plural, namespace=namespace, error=error.message)
                pause, delay = delay, min(delay * 2, self._longest_delay)
            # Servers end watches from time to time. Until the next watch stands, no changes arrive.
            self._broken_since.setdefault(namespace, loop.time())
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)

    async def _list(self, namespace: str) -> str:
        self._versions.pop(namespace, None)
        keys, version = await take_list(
            self._client, self._kind, namespace, self._labels, self._hear, fields=self._fields
        )
        self.cache.retain(namespace, keys, version)
        self._versions[namespace] = int(version)
        self._first_lists[namespace].set()
        self._changed()
        return version

    def _hear(self, obj: Object) -> None:
        self.cache.hear(strip_bookkeeping(obj))


async def take_list(
    client: Client,
    kind: Kind,
    namespace: str | None,
    labels: Mapping[str, str] | None,
    take: Callable[[Object], object],
    *,
    fields: Mapping[str, str] | None = None,
) -> tuple[set[Key], str]:
    """List objects live and call ``take`` with each; return their keys and the list's resourceVersion.

    Raises:
        berth_core.kube.errors.GoneError: reading took so long that the cluster has forgotten that moment.

    """
    keys, version = set[Key](), "0"
    async for page, as_of in client.pages(kind, namespace, labels=labels, fields=fields):
        version = as_of
        for number, obj in enumerate(page, start=1):
            take(obj)
            keys.add(key_of(obj))
            if number % PIECE == 0:
                await asyncio.sleep(0)
    return keys, version
