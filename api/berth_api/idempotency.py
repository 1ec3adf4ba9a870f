"""``Idempotency-Key``: a repeated POST gets the first answer again, and makes nothing twice (``repeats.py``)."""

from dataclasses import dataclass
from typing import Final

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from berth_api import errors, repeats
from berth_api.auth.identity import Identity
from berth_api.errors import ApiError, AwayError, BadRequestError, KeyReusedError, UnderWayError
from berth_api.repeats import DEAD_SECONDS, Answer, Run, Step
from berth_api.routes.common import read_body
from berth_api.services import recovery
from berth_api.services.records import Held, Records
from berth_api.state import State
from berth_core import errors as cluster

log = structlog.get_logger(__name__)

WAIT_SECONDS: Final = 1.0
"""When to ask again for an answer that is under way."""


class Idempotent:
    """ASGI middleware: answers a repeated POST with the first answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Only a POST with the header and a token that counts is looked at."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        values = repeats.values_of(scope["headers"]) if not _goes_on(scope) else []
        identity: Identity | None = scope["state"]["standing"].identity
        if not values or identity is None:
            await self._app(scope, receive, send)
            return
        try:
            exchange = await _exchange(scope, receive, values, identity)
            answer = await self._answer(exchange)
        except (ApiError, cluster.ClusterError) as error:
            # The handler of such errors stands further in than this middleware.
            response = await errors.handle(Request(scope), error)
            await response(scope, receive, send)
        else:
            await _send(answer, send)

    async def _answer(self, exchange: "_Exchange") -> Answer:
        state = exchange.state
        await state.now()  # a record has an age
        records = Records(state.client, state.config.access_namespace)
        step, held = await records.begin(exchange.digest, exchange.fingerprint)
        if step is Step.REFUSE:
            raise KeyReusedError
        if step is Step.WAIT:
            raise UnderWayError(retry_after=WAIT_SECONDS)
        if step is Step.REPLAY and held.record.answer is not None:
            return exchange.replayed(await recovery.whole(state, held.record.answer))
        if step in (Step.LOOK, Step.TAKE_OVER):
            made = await recovery.answer_of(state, held)
            if made is not None:
                await _keep(records, held, made)
                return exchange.replayed(made)
            if step is Step.LOOK:
                left = held.record.started + DEAD_SECONDS - state.client.clock.now().timestamp()
                raise AwayError(repeats.NOT_KNOWN_YET, retry_after=left)
        return await self._run(exchange, records, held)

    async def _run(self, exchange: "_Exchange", records: Records, held: Held) -> Answer:
        """Run the request and keep its answer, or note that there is none to keep."""
        run = Run(held.digest, held.record.started, exchange.state.client.clock)
        token = repeats.running.set(run)
        answer: Answer | None = None
        try:
            answer = await exchange.run(self._app)
        finally:
            repeats.running.reset(token)
            is_kept = answer is not None and answer.is_kept and not run.is_refused_for_now
            if not is_kept:
                failed = answer is None or answer.status >= 500
                await _release(records, held, unsure=failed and run.has_begun_to_make)
        if is_kept:
            await _keep(records, held, answer)
        return answer


def _goes_on(scope: Scope) -> bool:
    """Whether a request is served without a record: pings always, ends of instances while no record can have an age.

    Pings are the same however often they come, and are answered while the cluster, and so the record, is away.
    """
    path, state = scope["path"], scope["app"].state.berth
    return path.endswith("/ka") or (path.startswith("/terminate/") and not state.client.clock.is_known)


@dataclass(frozen=True, repr=False)
class _Exchange:
    """A request with a key, its body read."""

    scope: Scope
    receive: Receive
    body: bytes
    digest: str
    fingerprint: str

    @property
    def state(self) -> State:
        state: State = self.scope["app"].state.berth
        return state

    def replayed(self, answer: Answer) -> Answer:
        """Mark an answer as that of an earlier request."""
        self.scope["state"]["replayed"] = True
        return Answer(answer.status, (*answer.headers, (b"idempotency-replayed", b"true")), answer.body)

    async def run(self, app: ASGIApp) -> Answer:
        """Let the application answer, and catch the answer whole."""
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
    if len(values) > 1 or not repeats.is_key(values[0]):
        raise BadRequestError("Idempotency-Key must be one value of 1 to 255 printable ASCII characters")
    body = await read_body(Request(scope, receive))
    key = values[0]
    asked = scope["method"], scope["path"], scope["query_string"], body
    fingerprint = repeats.fingerprint_of(*asked, identity, key=key)
    return _Exchange(scope, receive, body, repeats.digest_of(identity.user, key), fingerprint)


async def _keep(records: Records, held: Held, answer: Answer) -> None:
    # What was asked for is done, so the client gets the answer in any case. A repeat finds what was made by its label.
    try:
        await records.complete(held, repeats.without_key(answer))
    except cluster.ClusterError as error:
        log.warning("answer not kept", idempotency=held.digest, error=error.message)


async def _release(records: Records, held: Held, *, unsure: bool) -> None:
    # Where this fails, the record counts as that of a dead process after DEAD_SECONDS.
    try:
        if unsure:
            await records.mark_unsure(held)
        else:
            await records.drop(held)
    except cluster.ClusterError as error:
        log.warning("record not released", idempotency=held.digest, error=error.message)


async def _send(answer: Answer, send: Send) -> None:
    headers = [(name, value) for name, value in answer.headers if name != b"content-length"]
    headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
