"""The Connectors that there are, by uid, as a watch tells."""

from collections.abc import Callable, Iterator, Mapping

from berth_core.kube.cache import Cache, Key
from berth_core.kube.client import Client
from berth_core.kube.reflector import Reflector
from berth_core.reading import read
from berth_core.resources import Connector

Listener = Callable[[str, Connector | None], None]
"""Called with the uid, and what the Connector is now; None where it is gone."""


class Roster(Mapping[str, Connector]):
    """Connectors by uid. One that cannot be read is none: it neither links nor is it cut."""

    def __init__(self) -> None:
        self.cache = Cache[Connector](lambda obj: read(Connector, obj), {"uid": lambda one: (one.metadata.uid,)})
        self.cache.listen(self._heard)
        self._listeners: list[Listener] = []

    def reflector(self, client: Client, namespaces: tuple[str, ...]) -> Reflector[Connector]:
        """Return what keeps it current."""
        return Reflector(client, Connector.api(), namespaces, self.cache)

    def listen(self, listener: Listener) -> None:
        """Call back after each change; must not block."""
        self._listeners.append(listener)

    def __getitem__(self, uid: str) -> Connector:
        for connector in self.cache.by("uid", uid):
            return connector
        raise KeyError(uid)

    def __iter__(self) -> Iterator[str]:
        return (connector.metadata.uid for connector in self.cache)

    def __len__(self) -> int:
        return len(self.cache)

    def _heard(self, key: Key, before: Connector | None, after: Connector | None) -> None:
        del key
        if before is not None and (after is None or after.metadata.uid != before.metadata.uid):
            self._tell(before.metadata.uid, None)
        if after is not None:
            deleted = after.metadata.deletion_timestamp is not None
            self._tell(after.metadata.uid, None if deleted else after)

    def _tell(self, uid: str, connector: Connector | None) -> None:
        for listener in self._listeners:
            listener(uid, connector)
