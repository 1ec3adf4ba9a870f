"""``Idempotency-Key``: a repeated POST gets the first answer again, and makes nothing twice (``replay.py``)."""

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from berth_api.auth.identity import Identity
from berth_api.http import errors
from berth_api.http.errors import (
    ApiError,
    AwayError,
    BadRequestError,
    KeyReusedError,
    TooManyKeysError,
    UnderWayError,
)
from berth_api.http.requests import read_body
from berth_api.idempotency import replay
from berth_api.idempotency.records import Entry, Records
from berth_api.idempotency.replay import DEAD_SECONDS, Answer, Run, Step
from berth_api.ratelimit.allowance import Allowance
from berth_api.state import State
from berth_core.kube import errors as cluster

log = structlog.get_logger(__name__)

WAIT_SECONDS: Final = 1.0
"""Seconds after which to ask again for an answer under way."""


class Recovery(Protocol):
    """Finds answers that a record does not hold completely."""

    async def answer_of(self, state: State, entry: Entry) -> Answer | None:
        """Look for objects of a request that was never answered; None where there are none."""

    async def whole(self, state: State, answer: Answer) -> Answer:
        """Return a kept answer in its original form."""


class Idempotent:
    """ASGI middleware: answers a repeated POST with the first answer."""

    def __init__(self, app: ASGIApp, recovery: Recovery) -> None:
        self._app = app
        self._recovery = recovery

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Only a POST with the header and a valid token is handled here."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        values = replay.values_of(scope["headers"]) if not _goes_on(scope) else []
        identity: Identity | None = scope["state"]["standing"].identity
        if not values or identity is None:
            await self._app(scope, receive, send)
            return
        try:
            exchange = await _exchange(scope, receive, values, identity)
            answer = await self._answer(exchange)
        except (ApiError, cluster.ClusterError) as error:
            # The handler of such errors runs inside this middleware, so it does not see them.
            response = await errors.handle(Request(scope), error)
            await response(scope, receive, send)
        else:
            await _send(answer, send)

    async def _answer(self, exchange: "_Exchange") -> Answer:
        """Run the request. At its first look-up it gets a record, or is stopped by the record of an earlier request."""
        record = _Record(exchange, self._recovery)
        token = replay.running.set(record.run)
        answer: Answer | None = None
        try:
            answer = await exchange.run(self._app)
        except StoppedError as stopped:
            if stopped.answer is not None:
                return exchange.replayed(stopped.answer)
            raise stopped.reason from None
        finally:
            replay.running.reset(token)
            await record.close(answer)
        return answer


class StoppedError(Exception):
    """Stops a request that must not run: it gets the answer of an earlier one, or a refusal."""

    def __init__(self, answer: Answer | None, reason: Exception | None = None) -> None:
        super().__init__(reason)
        self.answer = answer
        self.reason = reason or self


class _Record:
    """The record of one request, made when it is needed."""

    def __init__(self, exchange: "_Exchange", recovery: Recovery) -> None:
        self._exchange = exchange
        self._recovery = recovery
        self._records = Records(exchange.state.client, exchange.state.config.access_namespace)
        self._task: asyncio.Task[Entry] | None = None
        self._counted: Allowance | None = None
        self.run = Run(exchange.digest, None, exchange.state.client.clock, self._begin)

    async def _begin(self) -> None:
        """Make the record, once. Raises StoppedError."""
        if self._task is None:
            self._task = asyncio.create_task(self._entry())
        try:
            entry = await asyncio.shield(self._task)
        except (ApiError, cluster.ClusterError) as error:
            raise StoppedError(None, error) from error
        self.run.started = entry.record.started

    async def _entry(self) -> Entry:
        replay.running.set(None)  # in this task only: its own look-ups need no record
        state = self._exchange.state
        await state.now()  # a record needs the store's time
        step, entry = await self._counted_begin()
        if step is Step.REFUSE:
            raise KeyReusedError
        if step is Step.WAIT:
            raise UnderWayError(retry_after=WAIT_SECONDS)
        if step is Step.REPLAY and entry.record.answer is not None:
            raise StoppedError(await self._recovery.whole(state, entry.record.answer))
        if step in (Step.LOOK, Step.TAKE_OVER):
            answer = await self._recovery.answer_of(state, entry)
            if answer is not None:
                await self._keep(entry, answer)
                raise StoppedError(answer)
            if step is Step.LOOK:
                seconds = entry.record.started + DEAD_SECONDS - state.client.clock.now().timestamp()
                raise AwayError(replay.NOT_KNOWN_YET, retry_after=seconds)
        return entry

    async def _counted_begin(self) -> tuple[Step | None, Entry]:
        """Make the record. It is counted before, lest concurrent requests all pass the limit."""
        exchange, records = self._exchange, self._records
        allowance = self._counted = await exchange.state.limiter.take_key(exchange.identity)
        is_new = False
        try:
            if not allowance.passes and not await records.exists(exchange.digest):
                raise TooManyKeysError(retry_after=allowance.wait)
            step, entry = await records.begin(exchange.digest, exchange.fingerprint)
            is_new = step is None
        finally:
            if not is_new:
                await self._uncount()
        return step, entry

    async def close(self, answer: Answer | None) -> None:
        """Keep the answer, or note that there is none to keep. A stopped request has no record of its own."""
        if self.run.started is None or self._task is None:
            return
        entry = await self._task
        if answer is not None and answer.is_kept and not self.run.is_refused_for_now:
            await self._keep(entry, answer)
        else:
            failed = answer is None or answer.status >= 500
            await self._release(entry, unsure=failed and self.run.has_begun_to_make)

    async def _keep(self, entry: Entry, answer: Answer) -> None:
        # The request is done, so the client gets the answer in any case. A repeat finds the object by its label.
        content = replay.shortened(answer) if answer.is_refusal else replay.without_key(answer)
        try:
            await self._records.complete(entry, content, user=self._exchange.identity.user)
        except cluster.ClusterError as error:
            log.warning("answer not kept", idempotency=entry.digest, error=error.message)
        else:
            if answer.is_refusal:
                await self._uncount()  # refusals beyond a number are deleted early

    async def _release(self, entry: Entry, *, unsure: bool) -> None:
        # If this fails, the record counts as abandoned after DEAD_SECONDS.
        try:
            if unsure:
                await self._records.mark_unsure(entry)
            else:
                await self._records.drop(entry)
        except cluster.ClusterError as error:
            log.warning("record not released", idempotency=entry.digest, error=error.message)
        else:
            if not unsure:
                await self._uncount()

    async def _uncount(self) -> None:
        """Count one record less: it was not made, was dropped, or is counted elsewhere."""
        if self._counted is not None:
            await self._exchange.state.limiter.give_key_back(self._exchange.identity, self._counted)


def _goes_on(scope: Scope) -> bool:
    """Whether a request needs no record: pings never do, ends of instances do not while the store's time is unknown.

    Pings are idempotent, and are answered while the cluster, and so the record, is out of reach.
    """
    path, state = scope["path"], scope["app"].state.berth
    return path.endswith("/ka") or (path.startswith("/terminate/") and not state.client.clock.is_known)


@dataclass(frozen=True, repr=False)
class _Exchange:
    """A request with a key, its body read."""

    scope: Scope
    receive: Receive
    body: bytes
    identity: Identity
    digest: str
    fingerprint: str

    @property
    def state(self) -> State:
        state: State = self.scope["app"].state.berth
        return state

    def replayed(self, answer: Answer) -> Answer:
        """Mark an answer as a replay of an earlier request's."""
        self.scope["state"]["replayed"] = True
        return Answer(answer.status, (*answer.headers, (b"idempotency-replayed", b"true")), answer.body)

    async def run(self, app: ASGIApp) -> Answer:
        """Let the application answer, and capture the complete answer."""
        pending = [self.body]
        caught: list[Message] = []

        async def receive() -> Message:
            if pending:
                return {"type": "http.request", "body": pending.pop(), "more_body": False}
            return await self.receive()

        async def send(message: Message) -> None:
            caught.append(message)

        await app(self.scope, receive, send)
        start, *rest = caught
        headers = tuple((bytes(name), bytes(value)) for name, value in start.get("headers", ()))
        return Answer(start["status"], headers, b"".join(message.get("body", b"") for message in rest))


async def _exchange(scope: Scope, receive: Receive, values: list[str], identity: Identity) -> _Exchange:
    if len(values) > 1 or not replay.is_key(values[0]):
        raise BadRequestError("Idempotency-Key must be one value of 1 to 255 printable ASCII characters")
    body = await read_body(Request(scope, receive))
    key = values[0]
    request = scope["method"], scope["path"], scope["query_string"], body
    fingerprint = replay.fingerprint_of(*request, identity, key=key)
    return _Exchange(scope, receive, body, identity, replay.digest_of(identity.user, key), fingerprint)


async def _send(answer: Answer, send: Send) -> None:
    headers = [(name, value) for name, value in answer.headers if name != b"content-length"]
    headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
