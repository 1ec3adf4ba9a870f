"""The client of the cluster's API. It never retries: the caller knows whether a retry is safe."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client as k8s

from berth_core.kube import errors
from berth_core.kube.answers import error_of, from_status, object_of, translated
from berth_core.kube.clock import StoreClock
from berth_core.kube.streams import SILENT_SECONDS, keep_alive, lines
from berth_core.kube.types import PODS, Kind, Object, WatchEvent, selectors

MERGE_PATCH: Final = "application/merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
JSON_TYPE: Final = "application/json"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
REQUEST_SECONDS: Final = 10.0
NO_LIMIT: Final = aiohttp.ClientTimeout(total=None)
"""asyncio limits total times: aiohttp's limit swallows the cancellation of a task that comes at the same moment."""
WATCH_SECONDS: Final = 290
PAGE_SIZE: Final = 250
"""Objects in a page: reading a page takes some milliseconds, in which the event loop does nothing else."""
_PLAIN: Final = {"Accept": JSON_TYPE, "Content-Type": JSON_TYPE}


async def _at_once() -> None:
    """Return without waiting."""


class Client:
    """Reads and writes objects of the cluster. Make it with :func:`~berth_core.kube.connection.connect`."""

    def __init__(self, api: k8s.ApiClient, manager: str, clock: StoreClock | None = None) -> None:
        self._api = api
        self._manager = manager
        self.clock = clock or StoreClock()
        """The store's time, estimated from the answers."""
        self.before_request: Callable[[], Awaitable[None]] = _at_once
        """Awaited before each request except watches, logs and :meth:`server_date`; an exception stops the request."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Watches under way end with an error."""
        await self._api.close()

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """Read one object, live.

        Raises:
            NotFoundError: there is none.

        """
        return await self.request("GET", kind.path(namespace, name))

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        metadata_only: bool = False,
        not_older_than: int | None = None,
    ) -> tuple[list[Object], str]:
        """Read all matching objects as of one moment, live and consistent, with the collection's resourceVersion.

        With ``metadata_only`` the API server sends only metadata, so no Secret's content travels.
        With ``not_older_than``, a resourceVersion, the moment is that version's or any later one: the API server
        answers from memory, without asking etcd for its latest version, which takes up to 100 ms (Kubernetes API
        Concepts, resourceVersionMatch).
        """
        query = selectors(labels, fields)
        if not_older_than is not None:
            query |= {"resourceVersion": str(not_older_than), "resourceVersionMatch": "NotOlderThan"}
        accept = METADATA_LIST if metadata_only else JSON_TYPE
        answer = await self.request("GET", kind.path(namespace), query=query, accept=accept)
        return answer.get("items") or [], answer["metadata"]["resourceVersion"]

    async def pages(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        metadata_only: bool = False,
    ) -> AsyncIterator[tuple[Sequence[Object], str]]:
        """Read all objects as of one moment, some at a time; each page has the collection's resourceVersion.

        ``metadata_only`` is as for :meth:`list`.

        Raises:
            GoneError: reading took so long that the cluster has forgotten that moment.

        """
        query = selectors(labels, fields) | {"limit": str(PAGE_SIZE)}
        accept = METADATA_LIST if metadata_only else JSON_TYPE
        while True:
            answer = await self.request("GET", kind.path(namespace), query=query, accept=accept)
            yield answer.get("items") or [], answer["metadata"]["resourceVersion"]
            if not (following := answer["metadata"].get("continue")):
                return
            query["continue"] = following

    async def count(self, kind: Kind, namespace: str | None = None) -> int:
        """Number of objects, live and consistent; cheap for any number."""
        query = {"limit": "1"}
        answer = await self.request("GET", kind.path(namespace), query=query, accept=METADATA_LIST)
        return len(answer.get("items") or []) + int(answer["metadata"].get("remainingItemCount") or 0)

    async def create(self, kind: Kind, namespace: str | None, body: Object) -> Object:
        """Make an object.

        Raises:
            AlreadyExistsError: the name is taken.
            InvalidError: the cluster refuses the object; the message says why.

        """
        return await self.request("POST", kind.path(namespace), body=body, query={"fieldManager": self._manager})

    async def apply(self, kind: Kind, body: Object, *, force: bool = True, subresource: str | None = None) -> Object:
        """Server-side apply: create the object, or set the fields that the body names. Safe to repeat."""
        metadata = body["metadata"]
        query = {"fieldManager": self._manager, "force": "true" if force else "false"}
        path = kind.path(metadata.get("namespace"), metadata["name"], subresource)
        return await self.request("PATCH", path, body=body, query=query, content_type=APPLY_PATCH)

    async def patch(
        self, kind: Kind, namespace: str | None, name: str, body: Object, *, subresource: str | None = None
    ) -> Object:
        """Merge-patch an object. With ``metadata.resourceVersion`` in the body it is a compare-and-swap.

        Raises:
            ConflictError: the resourceVersion is not the live one.

        """
        path = kind.path(namespace, name, subresource)
        return await self.request(
            "PATCH", path, body=body, query={"fieldManager": self._manager}, content_type=MERGE_PATCH
        )

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """Delete an object; with ``uid`` only that object, with ``resource_version`` only in that version.

        An object that is gone already is no error, unless a ``resource_version`` is given.

        Raises:
            ConflictError: another object has the name, or the object was changed meanwhile.
            NotFoundError: ``resource_version`` is given, and somebody else deleted the object.

        """
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        conditions = {"uid": uid, "resourceVersion": resource_version}
        if preconditions := {key: value for key, value in conditions.items() if value is not None}:
            body["preconditions"] = preconditions
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        try:
            await self.request("DELETE", kind.path(namespace, name), body=body)
        except errors.NotFoundError:
            if resource_version is not None:
                raise

    async def watch(
        self,
        kind: Kind,
        namespace: str | None,
        resource_version: str,
        *,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        opened: Callable[[], None] | None = None,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Follow a collection from a resourceVersion on, bookmarks included, until the server ends the watch.

        ``opened`` is called once the server has accepted the watch.

        Raises:
            GoneError: the resourceVersion is too old.
            UnavailableError: the connection broke, or the server did not accept the watch.

        """
        query = selectors(labels, fields) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENT_SECONDS)
        with translated():
            # Otherwise a dead connection would be waited for as long as a quiet watch.
            async with asyncio.timeout(REQUEST_SECONDS):
                response = await self._send("GET", kind.path(namespace), query, None, dict(_PLAIN), timeout)
            if response.status >= 300:
                raise error_of(response.status, await response.read(), response.headers)
            try:
                keep_alive(response.response)
                if opened is not None:
                    opened()
                async for line in lines(response.response.content):
                    event = object_of(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        raise from_status(int(status.get("code", 500)), status, 1.0)
                    yield WatchEvent(event["type"], event["object"])
            finally:
                response.response.close()

    async def pod_log(
        self, namespace: str, pod: str, container: str, *, follow: bool = False, limit_bytes: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield the output of a container, in pieces as they come; with ``follow`` until it ends.

        Nothing is read before the caller takes it. The end of a followed stream does not mean that the container has
        ended: servers close long streams. With ``limit_bytes``, at most about that many bytes come, from the
        beginning on. Of a rotated log, only the part that the node has kept comes.

        Raises:
            NotFoundError: there is no such pod.
            InvalidError: the pod has no such container, or it has not started.
            UnavailableError: the connection broke.

        """
        query = {"container": container, "follow": "true" if follow else "false"}
        if limit_bytes is not None:
            query["limitBytes"] = str(limit_bytes)
        silent = None if follow else REQUEST_SECONDS  # a script may be silent for as long as it likes
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=silent)
        path = PODS.path(namespace, pod, "log")
        with translated():
            async with asyncio.timeout(REQUEST_SECONDS):
                response = await self._send("GET", path, query, None, _PLAIN | {"Accept": "*/*"}, timeout)
            if response.status >= 300:
                raise error_of(response.status, await response.read(), response.headers)
            try:
                keep_alive(response.response)
                async for chunk in response.response.content.iter_any():
                    yield chunk
            finally:
                response.response.close()

    async def server_date(self) -> str:
        """Return the API server's ``Date`` header (RFC 9110), for comparing clocks."""
        with translated():
            async with asyncio.timeout(REQUEST_SECONDS):
                response = await self._send("GET", "/version", {}, None, dict(_PLAIN))
                await response.read()
            return str(response.headers["Date"])

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON_TYPE,
        accept: str = JSON_TYPE,
    ) -> Object:
        """Send one request and return the parsed answer. For requests that the methods above do not cover."""
        if method != "GET" and body is None:
            raise ValueError("a write has a body: with it goes the check before it is sent")
        await self.before_request()
        headers = {"Accept": accept, "Content-Type": content_type}
        with translated():
            async with asyncio.timeout(REQUEST_SECONDS):
                response = await self._send(method, path, query or {}, body, headers)
                data = await response.read()
        if response.status >= 300:
            raise error_of(response.status, data, response.headers)
        return object_of(data)

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Object | None,
        headers: dict[str, str],
        limit: aiohttp.ClientTimeout = NO_LIMIT,
    ) -> Any:
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = self._api.configuration.host + path + ("?" + urlencode(query) if query else "")
        sent = self.clock.steady()
        response = await self._api.call_api(method, url, headers, body, _request_timeout=limit)
        self.clock.saw(sent, response.headers.get("Date"), self.clock.steady())
        return response
