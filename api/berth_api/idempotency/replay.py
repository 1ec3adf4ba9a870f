"""What makes a request a repeat of another, and what a request does that is one. Pure but for the context of a run.

Each user and key has a record in the cluster (``records.py``), made before the request looks anything up and
completed with its answer. So what is refused before that, for its form or for want of a right, has none. A request
that finds a record whose process died takes it over, and first looks for what the dead one made: that carries the label
of :func:`labels`.
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
from berth_core import names
from berth_core.kube import errors as cluster
from berth_core.kube.clock import StoreClock

HEADER: Final = b"idempotency-key"
DEAD_SECONDS: Final = 60.0
"""A request that has not been answered for so long never will be: its process died."""
MAKING_SECONDS: Final = 15.0
"""For so long after the start in its record a request may begin to make things, by the store's time.

What it sends then has reached the cluster or never will when the request counts as dead: a write before it takes at
most 10 s, and the API server gives up on a write after 34 s.
"""
KEY_FIELD: Final = "sshkey"
PROFILE_FIELD: Final = "ovpn"
SECRET_FIELDS: Final = {KEY_FIELD: "id", PROFILE_FIELD: "client_id"}
"""Of an answer's body: what holds a private key, and the field beside it that says whose it is: an instance's, or that
of a client of its VPN."""
LARGEST_REFUSAL: Final = 1024
"""Bytes that are kept of a refusal's body."""
NOT_KNOWN_YET: Final = "it is not known yet what the first request made. Try again later."
PASSING: Final = frozenset({408, 409, 425, 429})
"""Refusals that speak of the moment, not of the request."""


class Phase(StrEnum):
    """How far the first request has come."""

    STARTED = "started"
    UNSURE = "unsure"
    """It failed after it had begun to make something, which may be there all the same."""
    ANSWERED = "answered"


@dataclass(frozen=True, repr=False)
class Answer:
    """A whole answer."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    key_of: str | None = None
    """Whose private key belongs into the body, and has been left out."""
    key_field: str = KEY_FIELD
    """Where it belongs."""

    @property
    def is_refusal(self) -> bool:
        """Whether nothing came of the request."""
        return self.status >= 400

    @property
    def is_kept(self) -> bool:
        """Whether a repeated request gets this answer; else it runs anew."""
        return self.status < 500 and self.status not in PASSING


def without_key(answer: Answer) -> Answer:
    """Return the answer as it is kept. Pure.

    A record can outlive whose key it is, and no private key may: it is read from its own Secret for a repeat.
    """
    fields = orjson.loads(answer.body or b"{}")
    for field_, owner in SECRET_FIELDS.items():
        if isinstance(fields, dict) and field_ in fields:
            left = {name: value for name, value in fields.items() if name != field_}
            return replace(answer, body=orjson.dumps(left), key_of=str(fields[owner]), key_field=field_)
    return answer


def shortened(answer: Answer) -> Answer:
    """Return a refusal as it is kept: status and text, :data:`LARGEST_REFUSAL` bytes at the most. Pure."""
    headers = tuple((name, value) for name, value in answer.headers if name == b"content-type")
    body, fields = answer.body, orjson.loads(answer.body or b"{}")
    while len(body) > LARGEST_REFUSAL:
        # A character takes six bytes in JSON at the most; the same text may stand in several fields.
        longest = max(fields, key=lambda name: len(str(fields[name])))
        fields[longest] = str(fields[longest])[: len(str(fields[longest])) // 2]
        body = orjson.dumps(fields)
    return replace(answer, headers=headers, body=body)


def with_key(answer: Answer, key: str) -> Answer:
    """Return the answer as it was given. Pure."""
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
    """What a request does that finds a record."""

    REPLACE = "replace"
    REFUSE = "refuse"
    REPLAY = "replay"
    WAIT = "wait"
    LOOK = "look"
    """Look for what was made; wait where nothing is seen yet."""
    TAKE_OVER = "take over"


def judge(record: Record, fingerprint: str, now: float) -> Step:
    """Decide what a request does that finds a record. Pure."""
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
    """Name of a user's key: 40 hex digits. A key says nothing about that of another user."""
    return hashlib.sha256(f"{user}\0{key}".encode()).hexdigest()[:40]


def fingerprint_of(method: str, path: str, query: bytes, body: bytes, identity: Identity, *, key: str) -> str:
    """What makes a request the same: what it asks for, and with which rights.

    An answer can hold a private key, so a token with other rights than the first does not get it. A body can hold a
    password, so nobody can try out bodies on a fingerprint who does not know the key, which is kept nowhere.
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
    """As its record says; None while it has none."""
    clock: StoreClock
    begin: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)
    """Makes its record; awaited before each look-up."""
    has_begun_to_make: bool = False
    is_refused_for_now: bool = False
    """A refusal speaks of the moment, though its status does not say so: it is not kept."""


running: Final[ContextVar[Run | None]] = ContextVar("idempotency_run", default=None)


async def before_look_up() -> None:
    """Make the record of the request under way, where it has a key: it is about to look something up.

    Raises what says that the request is not to run (``idempotency.StoppedError``).
    """
    run = running.get()
    if run is not None and run.begin is not None:
        await run.begin()


def current() -> str | None:
    """Digest of the key of the request under way; None where it has none."""
    run = running.get()
    return run.digest if run is not None else None


def refuse_for_now() -> None:
    """Say that the request under way is refused by what passes: a repeat of it runs anew."""
    run = running.get()
    if run is not None:
        run.is_refused_for_now = True


def labels() -> dict[str, str]:
    """Labels for an object that the request under way makes; ask right before it is sent to the cluster.

    Raises:
        UnavailableError: the request has taken so long, for all that is known, that a repeat may soon count it as dead.

    """
    run = running.get()
    if run is None:
        return {}
    if run.started is None:
        raise RuntimeError("a request with a key looks something up before it makes anything")
    _, latest = run.clock.bounds()
    if not run.clock.is_known or latest > run.started + MAKING_SECONDS:
        raise cluster.UnavailableError("the request took too long to make anything", retry_after=DEAD_SECONDS)
    run.has_begun_to_make = True
    return {names.IDEMPOTENCY_LABEL: run.digest}
