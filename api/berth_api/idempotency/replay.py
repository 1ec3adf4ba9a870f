"""Decides whether a request repeats another, and what a repeat does. Pure but for the context of a run.

Each user and key has a record in the cluster (``records.py``), made before the request looks anything up and
completed with its answer. A request that is refused before that, for its form or for want of a right, has none. A
request that finds the record of a dead process takes it over. It first looks for objects that the dead process made,
which ``making.py`` has labelled.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

import orjson

from berth_api.auth.identity import Identity
from berth_core.kube import errors as cluster
from berth_core.kube.clock import StoreClock

HEADER: Final = b"idempotency-key"
DEAD_SECONDS: Final = 60.0
"""Seconds without an answer after which a request's process counts as dead."""
MAKING_SECONDS: Final = 15.0
"""Seconds after the start in its record, by the store's time, in which a request may begin to make things.

Its last write has reached the cluster, or never will, when the request counts as dead: a write before it takes at most
10 s, and the API server gives up on a write after 34 s.
"""
KEY_FIELD: Final = "sshkey"
PROFILE_FIELD: Final = "ovpn"
SECRET_FIELDS: Final = {KEY_FIELD: "id", PROFILE_FIELD: "client_id"}
"""Fields of an answer's body with a private key, and the field beside it with the id of its owner: an instance, or a
client of its VPN."""
LARGEST_REFUSAL: Final = 1024
"""Bytes kept of a refusal's body."""
NOT_KNOWN_YET: Final = "it is not known yet what the first request made. Try again later."
PASSING: Final = frozenset({408, 409, 425, 429})
"""Temporary refusals, which do not depend on the request."""


class TooLateError(cluster.UnavailableError):
    """The request has taken so long that a repeat may soon count it as dead: it makes nothing."""


class Phase(StrEnum):
    """Progress of the first request."""

    STARTED = "started"
    UNSURE = "unsure"
    """The request failed after it had begun to make an object, which may exist all the same."""
    ANSWERED = "answered"


@dataclass(frozen=True, repr=False)
class Answer:
    """A complete answer."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    key_of: str | None = None
    """Owner (id) of the private key that was left out of the body; None where none was."""
    key_field: str = KEY_FIELD
    """Field of the body that the key belongs into."""

    @property
    def is_refusal(self) -> bool:
        """Whether the request was refused."""
        return self.status >= 400

    @property
    def is_kept(self) -> bool:
        """Whether a repeat gets this answer; else it runs anew."""
        return self.status < 500 and self.status not in PASSING


def without_key(answer: Answer) -> Answer:
    """Return the answer as it is kept, without a private key. Pure.

    A record can outlive the key's owner, and a private key must not: a repeat reads it from its own Secret.
    """
    fields = orjson.loads(answer.body or b"{}")
    for field_, owner in SECRET_FIELDS.items():
        if isinstance(fields, dict) and field_ in fields:
            rest = {name: value for name, value in fields.items() if name != field_}
            return replace(answer, body=orjson.dumps(rest), key_of=str(fields[owner]), key_field=field_)
    return answer


def shortened(answer: Answer) -> Answer:
    """Return a refusal as it is kept: status and text, :data:`LARGEST_REFUSAL` bytes at the most. Pure."""
    headers = tuple((name, value) for name, value in answer.headers if name == b"content-type")
    body, fields = answer.body, orjson.loads(answer.body or b"{}")
    while len(body) > LARGEST_REFUSAL:
        # A character takes at most six bytes in JSON; the same text may stand in several fields.
        longest = max(fields, key=lambda name: len(str(fields[name])))
        fields[longest] = str(fields[longest])[: len(str(fields[longest])) // 2]
        body = orjson.dumps(fields)
    return replace(answer, headers=headers, body=body)


def with_key(answer: Answer, key: str) -> Answer:
    """Return the answer in its original form, with its private key. Pure."""
    return replace(answer, body=orjson.dumps(orjson.loads(answer.body) | {answer.key_field: key}), key_of=None)


@dataclass(frozen=True, repr=False)
class Record:
    """Record of a user's key. Times are the store's, in seconds since the Epoch."""

    fingerprint: str
    phase: Phase
    started: float
    expires: float
    answer: Answer | None = None


class Step(StrEnum):
    """Next step of a request that finds a record."""

    REPLACE = "replace"
    REFUSE = "refuse"
    REPLAY = "replay"
    WAIT = "wait"
    LOOK = "look"
    """Look for objects that were made; wait where none is seen yet."""
    TAKE_OVER = "take over"


def judge(record: Record, fingerprint: str, now: float) -> Step:
    """Decide the next step of a request that finds a record. Pure."""
    if now >= record.expires:
        return Step.REPLACE
    if record.fingerprint != fingerprint:
        return Step.REFUSE
    if record.answer is not None:
        return Step.REPLAY
    if now >= record.started + DEAD_SECONDS:
        return Step.TAKE_OVER
    return Step.LOOK if record.phase is Phase.UNSURE else Step.WAIT


def digest_of(user: str, key: str) -> str:
    """Name of a user's key: 40 hex digits. The same key of another user has another name."""
    return hashlib.sha256(f"{user}\0{key}".encode()).hexdigest()[:40]


def fingerprint_of(method: str, path: str, query: bytes, body: bytes, identity: Identity, *, key: str) -> str:
    """Fingerprint of a request: its content, and the rights of its token.

    An answer can hold a private key, so a token with other rights than the first does not get it. A body can hold a
    password. The fingerprint is keyed with the Idempotency-Key, which is stored nowhere, so bodies cannot be guessed by
    trial.
    """
    types = sorted(identity.types) if identity.types is not None else None
    rights = [identity.superuser, identity.read_only, identity.instance, types, identity.expire_d]
    head = orjson.dumps([method, path, query.decode("latin-1"), rights, identity.organisation])
    return hmac.new(key.encode(), head + b"\0" + body, hashlib.sha256).hexdigest()


def is_key(text: str) -> bool:
    """Whether a header's value can be a key: 1 to 255 printable ASCII characters."""
    return 1 <= len(text) <= 255 and text.isascii() and text.isprintable()


def values_of(headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
    """Values of the ``Idempotency-Key`` headers, without the blanks around them, which are not part of a value."""
    return [value.strip(b" \t").decode("latin-1") for name, value in headers if name == HEADER]


@dataclass
class Run:
    """The request under way that has a key."""

    digest: str
    started: float | None
    """Start by its record; None while it has none."""
    clock: StoreClock
    begin: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)
    """Makes the record; awaited before each look-up."""
    has_begun_to_make: bool = False
    is_refused_for_now: bool = False
    """The refusal is temporary, though its status does not say so: it is not kept."""

    def begin_making(self) -> None:
        """Note that an object is sent next. Raises TooLateError."""
        if self.started is None:
            raise RuntimeError("a request with a key looks something up before it makes anything")
        _, latest = self.clock.bounds()
        if not self.clock.is_known or latest > self.started + MAKING_SECONDS:
            raise TooLateError("the request took too long to make anything", retry_after=DEAD_SECONDS)
        self.has_begun_to_make = True


running: Final[ContextVar[Run | None]] = ContextVar("idempotency_run", default=None)


async def before_look_up() -> None:
    """Make the record of the request under way, where it has a key; called before each look-up.

    Raises ``idempotency.StoppedError`` where the request must not run.
    """
    run = running.get()
    if run is not None and run.begin is not None:
        await run.begin()


def current() -> str | None:
    """Digest of the key of the request under way; None where it has none."""
    run = running.get()
    return run.digest if run is not None else None


def refuse_for_now() -> None:
    """Note that the request under way is refused for a temporary reason: a repeat of it runs anew."""
    run = running.get()
    if run is not None:
        run.is_refused_for_now = True
