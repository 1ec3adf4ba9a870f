"""Applies the fence at the machine: admits streams, ends them, and sees to it that the machine is brought to rest.

All of it runs on one event loop, and awaits nothing between a decision and its effects. So streams of two epochs never
interleave, whichever links they come by.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from typing import Callable, Final

from berth_connector import fence, log, machine, rest, words
from berth_connector.config import Config, ConfigError, host_port, target
from berth_connector.fence import Admitted, Mark
from berth_connector.machine import MachineStream
from berth_connector.record import Record, RecordError
from berth_connector.words import Word, WordError
from berth_tunnel.link import Handler, Headers, Link, Stream, steady

TICK: Final = 0.1
"""Seconds between two looks at the links."""
STREAMS: Final = "/v1/streams/"
WORDS: Final = "/v1/words"
STATE: Final = "/v1/state"


class Guard:
    """The fence of one host."""

    def __init__(self, config: Config, record: Record, keys: Mapping[str, int], connector: str) -> None:
        self.config = config
        self.keys = keys
        self._record = record
        self._connector = connector
        self._streams: dict[str, set[MachineStream]] = {}
        self._links: set[Link] = set()
        self._heard: float | None = None
        """When the last of the links that have ended was heard; None once the loss has been dealt with."""
        self._resting: dict[str, asyncio.Task[None]] = {}
        self._words: dict[str, Word] = {}
        self._watchers: set[Stream] = set()
        self.report: Callable[[], bytes] = lambda: b"{}"

    def start(self) -> None:
        """Begin: machines that may have moved when this process was last gone are brought to rest first."""
        self.lose("the connector was started")

    async def watch(self) -> None:
        """End links that are silent, and bring machines to rest when none is left, until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            now, limit = steady(), self.config.link_loss_timeout
            for link in [one for one in self._links if fence.silent(one.heard, now, limit)]:
                link.end("it was silent for too long")
            self._judge()

    def linked(self, link: Link) -> None:
        """Take note of a link that stands."""
        self._judge()
        self._links.add(link)
        self._heard = None

    def unlinked(self, link: Link) -> None:
        """Take note of a link that has ended; its streams have ended with it."""
        self._links.discard(link)
        if not self._links:
            self._heard = max(self._heard or 0.0, link.heard)
            self._judge()

    def alive(self, link: Link) -> bool:
        """Whether bytes of a link still count: it was not silent for too long, by the clock of this moment."""
        return link.stands and not fence.silent(link.heard, steady(), self.config.link_loss_timeout)

    def accept(self, link: Link, stream: Stream, headers: Headers) -> Handler:
        """Answer a request of the hub's."""
        path = headers.get(":path", "")
        if path == STATE:
            self._watchers.add(stream)
            stream.answer(200)
            stream.send(self.report() + b"\n")
            return _Watcher(lambda: self._watchers.discard(stream))
        try:
            word = self._read(headers.get("berth-word", ""))
            if path == WORDS and word.does in (words.BEGUN, words.ENDED):
                self.hear(word)
                stream.answer(204, end=True)
                stream.reset()
                return Handler()
            if path.startswith(STREAMS) and word.does == words.OPEN:
                return self._open(link, stream, word, path[len(STREAMS) :])
            machine.refuse(stream, 404, "UnknownRequest", "this version does not know the request")
        except WordError as error:
            machine.refuse(stream, 403, "WordRefused", str(error))
        except (OSError, RecordError) as error:
            log.event("marks not kept", "error", message=str(error))
            machine.refuse(stream, 503, "MarkNotKept", f"the connector cannot keep its marks: {error}")
        return Handler()

    def hear(self, word: Word) -> None:
        """Apply the operator's word that an epoch has begun or ended. Raises OSError, RecordError."""
        decide = fence.announced if word.does == words.BEGUN else fence.ended
        mark = decide(self._record.get(word.deployment), word.epoch)
        if mark is not None:
            self._note(word.deployment, mark, cuts=True)
            log.event(f"epoch {word.does}", deployment=word.deployment, epoch=word.epoch)
        self._record.save()  # also where the word comes again since it could not be kept before

    def lose(self, why: str) -> None:
        """Close the sockets of all machines, and bring those to rest that may have moved."""
        for deployment in list(self._streams):
            self._cut(deployment)
        for deployment, mark in self._record.all().items():
            after = fence.lost(mark)
            if after is not None:
                log.event("machine to be brought to rest", "warning", why=why, deployment=deployment, epoch=mark.epoch)
                self._note(deployment, after, cuts=True)
        try:
            self._record.save()
        except OSError as error:  # the mark on disk says that it moved, which has the same effect at the next start
            log.event("marks not kept", "error", message=str(error))
        for deployment, mark in self._record.all().items():
            if mark.owed and deployment not in self._resting:
                self._resting[deployment] = asyncio.ensure_future(self._rest(deployment))

    async def stop(self) -> None:
        """Close all sockets and wait until the machines are at rest."""
        self.lose("the connector was stopped")
        await asyncio.gather(*self._resting.values())

    def _judge(self) -> None:
        """Deal with the loss of the last link once it has lasted for too long."""
        limit = self.config.link_loss_timeout
        if not self._links and self._heard is not None and fence.silent(self._heard, steady(), limit):
            self._heard = None
            self.lose("the link was lost")

    @property
    def owed(self) -> int:
        """How many machines have yet to be brought to rest."""
        return sum(mark.owed for mark in self._record.all().values())

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return sum(map(len, self._streams.values()))

    def tell(self) -> None:
        """Tell the hub's replicas how things stand."""
        line = self.report() + b"\n"
        for stream in list(self._watchers):
            stream.send(line)

    async def _rest(self, deployment: str) -> None:
        """Bring one machine to rest, after those before it."""
        mark = self._record.get(deployment)
        environment = {"BERTH_DEPLOYMENT": deployment, "BERTH_EPOCH": str(mark.epoch if mark else 0)}
        self.tell()
        await rest.until_done(self.config.on_disconnect, self.config.on_disconnect_timeout, environment)
        now = self._record.get(deployment)
        del self._resting[deployment]
        if now is not None:
            self._note(deployment, fence.rested(now), cuts=False)
            try:
                self._record.save()
            except OSError as error:  # then the next start brings it to rest once more
                log.event("marks not kept", "error", message=str(error))
        log.event("machine at rest", deployment=deployment)
        self.tell()

    def _open(self, link: Link, stream: Stream, word: Word, text: str) -> Handler:
        try:
            wanted = target(text)
            host, port = host_port(wanted)
        except ConfigError as error:
            machine.refuse(stream, 403, "TargetRefused", str(error))
            return Handler()
        if wanted not in word.targets or wanted not in self.config.targets:
            whose = "the operator's word" if wanted not in word.targets else "this host's settings"
            machine.refuse(stream, 403, "TargetRefused", f"{wanted} is not among the targets of {whose}")
            return Handler()
        known = self._record.get(word.deployment)
        decision = fence.admit(known, word.epoch)
        admitted = isinstance(decision, Admitted)
        if decision.mark is not None and (admitted or decision.mark != known):
            self._note(word.deployment, decision.mark, cuts=decision.cuts)
            self._record.save()
        if not isinstance(decision, Admitted):
            log.event("stream refused", "warning", reason=decision.reason, deployment=word.deployment, epoch=word.epoch)
            status = 503 if decision.reason == fence.NOT_AT_REST else 409
            machine.refuse(stream, status, decision.reason, decision.message)
            return Handler()
        return self._connect(link, stream, word, host, port)

    def _connect(self, link: Link, stream: Stream, word: Word, host: str, port: int) -> Handler:
        streams = self._streams.setdefault(word.deployment, set())
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
        try:
            handler = MachineStream(stream, family, (host, port), lambda: self.alive(link), streams.discard)
        except OSError as error:
            machine.refuse(stream, 502, "MachineUnreachable", str(error))
            return Handler()
        streams.add(handler)
        return handler

    def _read(self, text: str) -> Word:
        """Verify a word. The same word comes with each stream of a lease."""
        word = self._words.get(text)
        if word is None:
            word = words.verify(text, self.keys, self._connector)
            if len(self._words) >= 256:
                self._words.clear()
            self._words[text] = word
        return word

    def _note(self, deployment: str, mark: Mark, *, cuts: bool) -> None:
        """Count a mark from this moment on, and end the streams that it excludes."""
        if cuts:
            self._cut(deployment)
        self._record.note(deployment, mark)

    def _cut(self, deployment: str) -> None:
        for stream in list(self._streams.pop(deployment, ())):
            stream.cut()


class _Watcher(Handler):
    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone = gone

    def on_closed(self) -> None:
        self._gone()

    def on_end(self) -> None:
        self._gone()
