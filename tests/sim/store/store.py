"""The store as tests use it."""

import random
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from berth_core.kube.types import Object, WatchEvent, selectors

from ..wire import Commit, Request, Response
from . import problems, reads
from .history import DELETED, Entry, History
from .kinds import served, target
from .problems import Refused
from .selectors import selected
from .writes import Writer

MERGE: Final = "application/merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"


class Store:
    """kube-apiserver and etcd. Namespaces exist once they were made, by POST to /api/v1/namespaces."""

    def __init__(self, *, now: Callable[[], datetime], random: random.Random) -> None:
        self._history = History()
        self._writer = Writer(self._history, now, random)

    @property
    def version(self) -> int:
        """The resourceVersion of the last commit."""
        return self._history.version

    @property
    def listeners(self) -> list[Callable[[Commit], None]]:
        """Called in order after each commit, before the request is answered."""
        return self._history.listeners

    def handle(self, request: Request) -> Response:
        """Answer one request, in one step. Watches are not requests here: see :meth:`since`."""
        try:
            return self._answer(request)
        except Refused as refused:
            return refused.response()

    def find(self, plural: str, namespace: str | None, name: str) -> Object | None:
        """Return an object, which must not be mutated."""
        entry = self._history.find(served()[plural], (namespace or "", name))
        return None if entry is None else entry.object

    def all(self, plural: str, namespace: str | None = None) -> list[Object]:
        """Return a kind's objects by namespace and name; they must not be mutated."""
        entries = self._history.entries.get(plural) or {}
        return [entries[key].object for key in sorted(entries) if namespace is None or key[0] == namespace]

    def since(
        self,
        plural: str,
        namespace: str | None,
        version: int,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> list[WatchEvent]:
        """Return what a watch from a version on tells: an object that stops matching is DELETED.

        Raises:
            Gone: the version was compacted.

        """
        query = selectors(labels, fields)
        matches = selected(served()[plural], query.get("labelSelector", ""), query.get("fieldSelector", ""))
        events = []
        for change in self._history.after(plural, version):
            if namespace is not None and change.key[0] != namespace:
                continue
            is_in = change.event != DELETED and (matches is None or matches(change.entry.object))
            was_in = change.before is not None and (matches is None or matches(change.before.object))
            if is_in:
                events.append(WatchEvent("MODIFIED" if was_in else "ADDED", change.entry.copy()))
            elif was_in and change.before is not None:
                metadata = change.before.object["metadata"] | {"resourceVersion": str(change.version)}
                events.append(WatchEvent("DELETED", Entry(change.before.object | {"metadata": metadata}, {}).copy()))
        return events

    def compact(self, version: int) -> None:
        """Forget the changes up to a version: watches from before it get :class:`Gone`, continued lists 410."""
        self._history.compact(version)

    def _answer(self, request: Request) -> Response:
        at = target(request.path)
        if at is None:
            raise problems.no_such_path()
        method = request.method
        if at.name is None:
            if method == "GET":
                return Response(200, reads.collection(self._history, at, request.query, request.accept))
            if method == "POST":
                return Response(201, self._writer.create(at, request))
        elif method == "GET":
            return Response(200, reads.read(self._history, at))
        elif method == "PATCH" and request.content_type == APPLY:
            return Response(*self._writer.apply(at, request))
        elif method == "PATCH" and request.content_type == MERGE:
            return Response(200, self._writer.patch(at, request))
        elif method == "PUT":
            return Response(*self._writer.replace(at, request))
        elif method == "DELETE" and at.subresource is None:
            return Response(*self._writer.delete(at, request))
        raise Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
