"""The hub's one port: TLS, a head, and then a certificate, a link or a stream.

Strangers are kept cheap: a head has a few seconds and a bound, and connections that have shown no certificate and no
word have a number.
"""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog

from berth_core.connectors import certificates, tokens
from berth_core.connectors.certificates import Facts
from berth_core.kube.errors import ClusterError
from berth_core.kube.model import parse_time
from berth_core.resources import Connector
from berth_hub import judging, links, metrics
from berth_hub.judging import Granted, Outcome, Pending, Refusal
from berth_hub.links import Links
from berth_hub.roster import Roster
from berth_hub.splice import Splice
from berth_tunnel import heads
from berth_tunnel.heads import HeadError, Request
from berth_tunnel.wire import Wire, WireError

log = structlog.get_logger(__name__)

HEAD_SECONDS: Final = 5.0
HANDSHAKE_SECONDS: Final = 5.0
MOST_STRANGERS: Final = 512
"""Connections that have not yet become a link or a stream."""
WATCH_LAG: Final = 1.0
"""Seconds by which a watch may lag behind a write."""
WATCH_LAG_LOOKS: Final = 10
_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME: a certificate that has expired may be shown for its renewal; dates are checked here."""

Write = Callable[[Connector, Pending], Awaitable[None]]
"""Writes a request into a Connector's status, at the version that was decided on. Raises ClusterError."""
Live = Callable[[Connector], Awaitable[Connector | None]]


def context(folder: Path) -> ssl.SSLContext:
    """Return the server's context from ``tls.crt``, ``tls.key`` and ``ca.crt``. Raises OSError, ssl.SSLError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    made.load_verify_locations(folder / "ca.crt")
    made.verify_mode = ssl.CERT_OPTIONAL
    made.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    return made


class Server:
    """Answers on the port. ``replica`` is this process's name among ``replicas``."""

    def __init__(
        self,
        *,
        roster: Roster,
        linked: Links,
        trust: str,
        keys: dict[str, dict[str, object]],
        clock: Callable[[], datetime],
        live: Live,
        write: Write,
        replica: str,
        replicas: Callable[[], int],
        bundle: bytes,
    ) -> None:
        self._roster = roster
        self._linked = linked
        self._trust = trust
        self._keys = keys
        self._clock = clock
        self._live = live
        self._write = write
        self._replica = replica
        self._replicas = replicas
        self._bundle = bundle
        self._strangers: set[Wire] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int, tls: ssl.SSLContext) -> asyncio.Server:
        """Listen. Raises OSError where the port is taken."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: Wire(self._accept), port=port, ssl=tls, ssl_handshake_timeout=HANDSHAKE_SECONDS, backlog=1024
        )

    def _accept(self, wire: Wire) -> None:
        if len(self._strangers) >= MOST_STRANGERS:
            metrics.REFUSED.labels("TooMany").inc()
            wire.abort()
            return
        self._strangers.add(wire)
        task = asyncio.ensure_future(self._serve(wire))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, wire: Wire) -> None:
        """Serve one connection up to its answer. Whatever goes wrong with it ends it and nothing else."""
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                request = heads.parse_request(await wire.head())
                body = await wire.exactly(request.length)
            await self._answer(wire, request, body)
        except HeadError as error:
            self._refuse(wire, Refusal(error.status, str(error), "Malformed"))
        except ClusterError as error:
            log.warning("cluster not reached", error=error.message)
            self._refuse(wire, Refusal(503, "the cluster's API does not answer: try again", "ClusterAway"))
        except (TimeoutError, WireError):
            wire.abort()
        except Exception as error:  # the boundary: one connection fails, the hub goes on
            log.exception("connection failed", kind=type(error).__name__)
            wire.abort()
        finally:
            self._strangers.discard(wire)

    async def _answer(self, wire: Wire, request: Request, body: bytes) -> None:
        match request.method, request.target:
            case "GET", "/v1/trust":
                self._send(wire, self._trust.encode(), "application/json")
            case "GET", "/v1/connector.pyz":
                self._send(wire, self._bundle, "application/octet-stream")
            case "POST", "/v1/enroll":
                await self._enroll(wire, body)
            case "POST", "/v1/renew":
                await self._renew(wire)
            case "GET", "/v1/link":
                self._link(wire, request)
            case "CONNECT", _:
                self._stream(wire, request)
            case _:
                self._refuse(wire, Refusal(404, "there is no such route"))

    async def _enroll(self, wire: Wire, body: bytes) -> None:
        try:
            fields = json.loads(body)
            token, request = str(fields["token"]), str(fields["request"])
        except (ValueError, KeyError, TypeError):
            self._refuse(wire, Refusal(400, "write {token, request} as JSON"))
            return
        cached = await self._known(tokens.uid_of(token))
        if cached is None:
            self._refuse(
                wire, Refusal(403, "the token is not valid: run `berth connector enroll` again", "TokenRefused")
            )
            return
        connector = await self._live(cached)
        outcome: Outcome = Refusal(403, "this connector was deleted", "Revoked")
        if connector is not None:
            outcome = judging.enroll(connector, token, request, self._clock())
        await self._certify(wire, connector or cached, outcome)

    async def _known(self, uid: str | None) -> Connector | None:
        """Return a Connector by its uid; one that was made just now may come late."""
        for _ in range(WATCH_LAG_LOOKS):
            if uid is not None and (connector := self._roster.get(uid)) is not None:
                return connector
            await asyncio.sleep(WATCH_LAG / WATCH_LAG_LOOKS)
        return None

    async def _renew(self, wire: Wire) -> None:
        shown = self._facts(wire)
        if shown is None:
            self._refuse(wire, Refusal(401, "a renewal needs the certificate of a connector"))
            return
        cached = self._roster.get(shown.uid)
        connector = await self._live(cached) if cached is not None else None
        half = None
        if connector is not None and (latest := connector.status.certificate) is not None:
            begin, end = parse_time(latest.not_before), parse_time(latest.not_after)
            half = begin + (end - begin) / 2
        outcome = judging.renew(connector, shown, self._clock(), half)
        if connector is None:
            self._refuse(wire, outcome if isinstance(outcome, Refusal) else Refusal(403, "deleted", "Revoked"))
            return
        await self._certify(wire, connector, outcome)

    async def _certify(self, wire: Wire, connector: Connector, outcome: Outcome) -> None:
        if isinstance(outcome, Refusal):
            self._refuse(wire, outcome)
        elif isinstance(outcome, Granted):
            who = {"name": connector.metadata.name, "uid": connector.metadata.uid}
            wire.write(heads.answer_json(200, {**who, "certificate": outcome.certificate}))
            wire.close()
        else:
            if outcome.request is not None:
                await self._write(connector, outcome)
            wire.write(heads.answer_json(202, {"error": "the operator has yet to sign: ask again"}))
            wire.close()

    def _link(self, wire: Wire, request: Request) -> None:
        shown = self._facts(wire)
        connector = self._roster.get(shown.uid) if shown is not None else None
        refusal = judging.link(connector, shown, self._clock(), request.headers.get("berth-protocol", ""))
        if refusal is not None or shown is None or connector is None:
            self._refuse(wire, refusal or Refusal(401, "a link needs the certificate of a connector"))
            return
        replicas = {"Berth-Replica": self._replica, "Berth-Replicas": str(self._replicas())}
        if self._replica in request.headers.get("berth-linked", "").split(","):
            wire.write(heads.answer(409, {**replicas, "Content-Length": "0", "Connection": "close"}))
            wire.close()
            return
        wire.write(heads.answer(101, {**replicas, "Connection": "Upgrade", "Upgrade": "berth-link"}))
        version = request.headers.get("berth-version", "")[:64]
        self._linked.take(wire, shown, version, connector, self._clock())

    def _stream(self, wire: Wire, request: Request) -> None:
        text = request.headers.get("berth-word", "")
        word = judging.stream(text, self._keys, self._roster)
        if isinstance(word, Refusal):
            self._refuse(wire, word)
            return
        linked = self._linked.get(word.connector)
        if linked is None:
            self._refuse(wire, Refusal(503, "the connector is not linked to this replica: try again", "NotLinked"))
            return
        splice = Splice(wire)
        try:
            stream = links.opened(linked, request.target, text, splice)
        except ConnectionError as error:
            self._refuse(wire, Refusal(503, str(error), "NotLinked"))
            return
        splice.begin(stream)

    def _facts(self, wire: Wire) -> Facts | None:
        der = wire.peer_certificate()
        return certificates.facts(der) if der else None

    def _send(self, wire: Wire, content: bytes, kind: str) -> None:
        fields = {"Content-Type": kind, "Content-Length": str(len(content)), "Connection": "close"}
        wire.write(heads.answer(200, fields) + content)
        wire.close()

    def _refuse(self, wire: Wire, refusal: Refusal) -> None:
        metrics.REFUSED.labels(refusal.reason).inc()
        said = {"Berth-Reason": refusal.reason, "Berth-Message": refusal.message.encode("ascii", "replace").decode()}
        said |= {"Berth-Replica": self._replica, "Berth-Replicas": str(self._replicas())}
        wire.write(heads.answer_json(refusal.status, {"error": refusal.message, "reason": refusal.reason}, said))
        wire.close()
