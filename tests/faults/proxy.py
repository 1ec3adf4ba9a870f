"""A fault proxy: what one process of ours says to the API server, and hears from it, goes through here.

It writes down each write that the API server answered, and can do to a request what networks, overloaded servers and
the kernel do. One proxy serves one process, so that a fault strikes that process only. Writes pass one at a time: the
"Nth write" has a meaning, and a process that is struck at its Nth write has not sent another.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import aiohttp
from aiohttp import web
from forked import Process

from ..envtest.api.gateway import HOP_BY_HOP, Gateway, begun, serving


class Write(NamedTuple):
    """A write that the API server answered."""

    method: str
    path: str
    status: int


@dataclass(frozen=True)
class Delay:
    """The request reaches the API server so many seconds later."""

    seconds: float


@dataclass(frozen=True)
class Refuse:
    """The proxy answers so (409, 429, 500), and the API server hears nothing."""

    status: int


@dataclass(frozen=True)
class LoseRequest:
    """The connection breaks before the API server hears of it."""


@dataclass(frozen=True)
class LoseAnswer:
    """The API server does what is asked, and the connection breaks before its answer is back."""


@dataclass(frozen=True)
class LateAnswer:
    """The API server does what is asked at once, and its answer is so many seconds on the way."""

    seconds: float
    given: asyncio.Event | None = None
    """Set once the API server has answered."""


@dataclass(frozen=True)
class Hold:
    """The events of a watch come so many seconds late."""

    seconds: float


@dataclass(frozen=True)
class Forget:
    """So many events of a watch do not come; then it ends with 410, as one whose place in history is forgotten."""

    events: int


@dataclass(frozen=True)
class Stale:
    """A list that fills a cache is answered as it was answered before; the watch goes on from there."""


@dataclass(frozen=True)
class Kill:
    """SIGKILL, once the API server has done what is asked and before the process hears of it."""


Fault = Delay | Refuse | LoseRequest | LoseAnswer | LateAnswer | Hold | Forget | Stale | Kill
Faults = Callable[[web.Request, str], Fault | None]
"""Which fault, if any, meets a request; the word is one of `write`, `read`, `list` and `watch`."""
REASONS = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError"}


def is_bookkeeping(path: str) -> bool:
    """Renewals of Leases come with time and are no step of anything: they are neither counted nor struck."""
    return "/leases" in path


def sort_of(request: web.Request) -> str:
    """Sort of a request: write, watch, list or read."""
    if request.method != "GET":
        return "write"
    if "watch" in request.query:
        return "watch"
    # kopf fills the operator's caches, and pages fill those of the API: no other lists may be old in Kubernetes.
    fills_a_cache = request.headers.get("User-Agent", "").startswith("kopf") or "limit" in request.query
    return "list" if fills_a_cache else "read"


class FaultProxy(Gateway):
    """See the module; made by :func:`fault_proxy`."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        super().__init__(server, session)
        self.writes: list[Write] = []
        self.wrote_at = time.monotonic()
        """When the last write was answered."""
        self.faults: Faults | None = None
        self.kill: Callable[[], None] | None = None
        """Callback that a `Kill` calls."""
        self.struck = asyncio.Event()
        """Set once the process was killed or stopped at its write."""
        self.under_way = 0
        """Writes that came and are not answered yet."""
        self._strike: tuple[int, Callable[[], None]] | None = None
        self._hold: tuple[int, Callable[[], None]] | None = None
        self._let_go = asyncio.Event()
        self._closed = False
        self._one_write = asyncio.Lock()
        self._lists: dict[tuple[str, str], tuple[bytes, str]] = {}

    def forget(self) -> None:
        """Begin to count writes anew."""
        self.writes.clear()

    def strike_after(self, write: int, strike: Callable[[], None]) -> None:
        """Do something to the process once the API server has answered so many writes from now on, before it hears."""
        self.forget()
        self.struck.clear()
        self._strike = (write, strike)

    def hold_at(self, write: int, strike: Callable[[], None]) -> None:
        """Do something to the process at its Nth write from now on; the API server hears of that once it is let go."""
        self.forget()
        self.struck.clear()
        self._let_go.clear()
        self._hold = (write, strike)

    def let_go(self) -> None:
        """Pass on the write that is held, and those behind it."""
        self._let_go.set()

    def spare(self) -> None:
        """Strike no more."""
        self._strike = self._hold = None

    def kill_after(self, write: int, process: Process) -> None:
        """Kill the process so; nothing of it arrives any more."""

        self.strike_after(write, lambda: self.bury(process))

    def bury(self, process: Process) -> None:
        """Kill the process; nothing of it arrives any more, and nothing reaches it."""
        self._closed = True
        os.kill(process.pid, signal.SIGKILL)

    def reopen(self) -> None:
        """Serve the process that comes after the dead one."""
        self._closed = False

    def quiet_for(self) -> float:
        """Seconds since the last write was answered; none while one is under way."""
        return 0.0 if self.under_way else time.monotonic() - self.wrote_at

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one request."""
        try:
            return await self._handle(request)
        except aiohttp.ClientError:
            return _broken(request)  # the API server was lost, and nobody knows what it has done

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        sort = sort_of(request)
        fault = self.faults(request, sort) if self.faults is not None and not is_bookkeeping(request.path) else None
        if isinstance(fault, Delay):
            await asyncio.sleep(fault.seconds)
        if self._closed or isinstance(fault, LoseRequest):
            return _broken(request)
        if isinstance(fault, Refuse):
            return _refused(fault.status)
        if sort == "watch":
            return await self._watch(request, fault)
        if sort == "write" and not is_bookkeeping(request.path):
            # Nobody cancels what the API server has begun to do: it is written down.
            response = await asyncio.shield(self._in_turn(request, fatal=isinstance(fault, Kill)))
        elif sort == "list":
            return await self._list(request, old=isinstance(fault, Stale))
        else:
            response = await self._whole(request)
        if isinstance(fault, LateAnswer):
            if fault.given is not None:
                fault.given.set()
            await asyncio.sleep(fault.seconds)
        return _broken(request) if self._closed or isinstance(fault, LoseAnswer) else response

    async def _in_turn(self, request: web.Request, *, fatal: bool) -> web.Response:
        self.under_way += 1
        try:
            async with self._one_write:
                return await self._write(request, fatal=fatal)
        finally:
            self.under_way -= 1

    async def _write(self, request: web.Request, *, fatal: bool) -> web.Response:
        if self._closed:
            return web.Response(status=503)
        if self._hold is not None and len(self.writes) + 1 == self._hold[0]:
            (_, strike), self._hold = self._hold, None
            strike()
            self.struck.set()
            await self._let_go.wait()
        response = await self._whole(request)
        self.writes.append(Write(request.method, request.path, response.status))
        self.wrote_at = time.monotonic()
        if self._strike is not None and len(self.writes) == self._strike[0]:
            (_, strike), self._strike = self._strike, None
            strike()
            self.struck.set()
        if fatal and self.kill is not None:
            self.kill()
        return response

    async def _whole(self, request: web.Request) -> web.Response:
        async with self.forwarded(request) as answered:
            kept = {name: value for name, value in answered.headers.items() if name.lower() not in HOP_BY_HOP}
            return web.Response(status=answered.status, headers=kept, body=await answered.read())

    async def _list(self, request: web.Request, *, old: bool) -> web.Response:
        # Of one address there are whole objects and, for who accepts no more, their metadata alone.
        key = (request.raw_path, request.headers.get("Accept", ""))
        known = self._lists.get(key)
        if old and known is not None:
            return web.Response(body=known[0], headers={"Content-Type": known[1]})
        response = await self._whole(request)
        # A page with a place to go on from is only good for a while.
        if response.status == 200 and isinstance(response.body, bytes) and b'"continue"' not in response.body:
            self._lists[key] = (response.body, response.headers["Content-Type"])
        return response

    async def _watch(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        async with self.forwarded(request) as answered:
            response = await begun(request, answered)
            pending, left = b"", fault.events if isinstance(fault, Forget) else 0
            async for chunk in answered.content.iter_any():
                if isinstance(fault, Hold):
                    await asyncio.sleep(fault.seconds)
                if not isinstance(fault, Forget):
                    await response.write(chunk)
                    continue
                *whole, pending = (pending + chunk).split(b"\n")
                left -= len(whole)
                if left <= 0:
                    await response.write(
                        json.dumps({"type": "ERROR", "object": _status(410, "Expired")}).encode() + b"\n"
                    )
                    break
            await response.write_eof()
            return response


def _broken(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


def _refused(status: int) -> web.Response:
    headers = {"Retry-After": "1"} if status == 429 else {}
    return web.json_response(_status(status, REASONS[status]), status=status, headers=headers)


def _status(code: int, reason: str) -> dict[str, object]:
    message = f"{reason}, says the fault proxy"
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


@asynccontextmanager
async def fault_proxy(kubeconfig: Path) -> AsyncIterator[FaultProxy]:
    """Run a fault proxy to the API server of a kubeconfig."""
    async with serving(kubeconfig, FaultProxy) as running:
        yield running
