"""Links of connectors to this replica: signs of life, words of the operator, and the end of what was revoked."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from berth_core.connectors.certificates import Facts
from berth_core.resources import Connector
from berth_hub import judging, metrics
from berth_tunnel.link import Handler, Headers, Link, Stream, steady
from berth_tunnel.wire import Wire

log = structlog.get_logger(__name__)

PING: Final = 0.5
"""Seconds between signs of life: the connector gives up a link that is silent for 2 s."""
MOST_SILENCE: Final = 5.0
MOST_STATE: Final = 4096


@dataclass(eq=False)
class Linked:
    """One link."""

    uid: str
    facts: Facts
    version: str
    since: datetime
    link: Link
    told: dict[str, str] = field(default_factory=dict)
    """The word that was passed on for each deployment."""
    not_at_rest: int = 0


class Links:
    """Links by the uids of their Connectors: one for each connector. ``changed`` is called with a uid."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._by_uid: dict[str, Linked] = {}

    def get(self, uid: str) -> Linked | None:
        """Link of a connector, or None."""
        return self._by_uid.get(uid)

    def all(self) -> list[Linked]:
        """All links."""
        return list(self._by_uid.values())

    def take(self, wire: Wire, facts: Facts, version: str, connector: Connector, now: datetime) -> Linked:
        """Begin a link on a wire whose head has been answered. It takes the place of one that stood before."""
        former = self._by_uid.pop(facts.uid, None)
        link = Link(wire, on_end=lambda why: self._ended(linked, why))
        linked = self._by_uid[facts.uid] = Linked(facts.uid, facts, version, now, link)
        if former is not None:
            former.link.end("another link took its place")
        log.info("linked", connector=connector.metadata.name, version=version)
        metrics.LINKS.set(len(self._by_uid))
        link.start()
        self.tell(linked, connector)
        link.open("/v1/state", {}, _State(linked, lambda: self._changed(facts.uid)))
        self._changed(facts.uid)
        return linked

    def heard(self, uid: str, connector: Connector | None) -> None:
        """Follow a change of a Connector: end the link of one that is gone, or pass on the operator's words."""
        linked = self._by_uid.get(uid)
        if linked is None:
            return
        if connector is None or judging.revoked(connector, linked.facts.serial):
            metrics.CUT.labels("revoked").inc()
            linked.link.end("the connector was deleted, or enrolled anew")
            return
        self.tell(linked, connector)

    def tell(self, linked: Linked, connector: Connector) -> None:
        """Pass on what the connector has not heard by this link."""
        for word in connector.status.words:
            if linked.link.stands and linked.told.get(word.deployment) != word.word:
                try:
                    linked.link.open("/v1/words", {"berth-word": word.word}, _Told(linked, word.deployment, word.word))
                except ConnectionError as error:
                    log.warning("word not passed on", connector=connector.metadata.name, error=str(error))
                    return

    async def watch(self, clock: Callable[[], datetime], roster: Mapping[str, Connector]) -> None:
        """Ask for signs of life, and end links that are silent or whose certificate has expired, until cancelled."""
        while True:
            now, mono = clock(), steady()
            for linked in self.all():
                if mono - linked.link.heard > MOST_SILENCE:
                    metrics.CUT.labels("silent").inc()
                    linked.link.end("the connector was silent")
                elif now >= linked.facts.end:
                    metrics.CUT.labels("expired").inc()
                    linked.link.end("the certificate has expired")
                else:
                    linked.link.ping()
                    if (connector := roster.get(linked.uid)) is not None:
                        self.tell(linked, connector)
            await asyncio.sleep(PING)

    def _ended(self, linked: Linked, why: str) -> None:
        log.info("link ended", connector=linked.uid, why=why)
        if self._by_uid.get(linked.uid) is linked:
            del self._by_uid[linked.uid]
            metrics.LINKS.set(len(self._by_uid))
            self._changed(linked.uid)


class _Told(Handler):
    """Takes note that a word has arrived; one that has not is passed on again with the next sign of life."""

    def __init__(self, linked: Linked, deployment: str, word: str) -> None:
        self._linked, self._deployment, self._word = linked, deployment, word
        linked.told[deployment] = word

    def on_answer(self, status: int, headers: Headers) -> None:
        if status >= 500:
            self._linked.told.pop(self._deployment, None)
        elif status >= 300:
            log.warning("word refused", connector=self._linked.uid, why=headers.get("berth-message"))


class _State(Handler):
    """Reads the lines in which a connector says how things stand."""

    def __init__(self, linked: Linked, changed: Callable[[], None]) -> None:
        self._linked, self._changed = linked, changed
        self._buffer = b""

    def on_data(self, data: bytes) -> None:
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) > MOST_STATE:
            self._linked.link.end("its state is too long")
        for line in lines[-1:]:
            try:
                count = json.loads(line)["notAtRest"]
            except (ValueError, KeyError, TypeError):
                continue
            if isinstance(count, int) and count != self._linked.not_at_rest:
                self._linked.not_at_rest = count
                self._changed()


def opened(linked: Linked, target: str, word: str, handler: Handler) -> Stream:
    """Open a stream to a machine. Raises ConnectionError."""
    return linked.link.open(f"/v1/streams/{target}", {"berth-word": word}, handler)
