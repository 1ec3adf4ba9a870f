"""The signing keys as their Secret holds them: the active key, and the steps of a rotation. Pure.

A rotation has three states, so that a repeat can go on after a crash between any two writes: the next key is held and
cannot sign yet; it is published and has a time; its time has come. The last state needs no write: signers find it out,
and the next change of the Secret records it.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

from berth_cli.ui.errors import CliError
from berth_core import names
from berth_core.kube.model import parse_time, timestamp
from berth_core.kube.types import Object

PEM: Final = ".pem"
SPREAD: Final = timedelta(minutes=2)
"""How long a published key waits before it signs. A change of a ConfigMap reaches pods within about 90 s."""


@dataclass(frozen=True)
class Keyring:
    """The keys by kid, and their roles. ``since`` has the times of their making; ``version`` is the resourceVersion."""

    held: Mapping[str, bytes]
    active: str | None
    next: str | None = None
    next_from: datetime | None = None
    since: Mapping[str, str] = field(default_factory=dict)
    version: str = ""

    @classmethod
    def parse(cls, secret: Object) -> Self:
        """Read the Secret. Raises CliError where an annotation cannot be understood."""
        data = secret.get("data") or {}
        annotations = secret["metadata"].get("annotations") or {}
        held = {name.removesuffix(PEM): base64.b64decode(pem) for name, pem in data.items() if name.endswith(PEM)}
        pending = annotations.get(names.NEXT_KID_ANNOTATION)
        return cls(
            held=held,
            active=annotations.get(names.ACTIVE_KID_ANNOTATION) or (next(iter(held)) if len(held) == 1 else None),
            next=pending if pending in held else None,
            next_from=_time(annotations.get(names.NEXT_FROM_ANNOTATION)),
            since=_since(annotations.get(names.KEYS_SINCE_ANNOTATION) or "{}"),
            version=secret["metadata"].get("resourceVersion", ""),
        )

    def annotations(self) -> dict[str, str | None]:
        """Annotations of the Secret; None for one to remove."""
        return {
            names.ACTIVE_KID_ANNOTATION: self.active,
            names.NEXT_KID_ANNOTATION: self.next,
            names.NEXT_FROM_ANNOTATION: timestamp(self.next_from) if self.next and self.next_from else None,
            names.KEYS_SINCE_ANNOTATION: json.dumps(dict(self.since), sort_keys=True),
        }


def settled(ring: Keyring, now: datetime) -> Keyring:
    """Return the same keys, the next one as the active one where its time has come."""
    if ring.next is None or ring.next_from is None or now < ring.next_from:
        return ring
    return replace(ring, active=ring.next, next=None, next_from=None)


def signer(ring: Keyring, now: datetime) -> str:
    """Return the kid of the key that signs. Raises CliError where the Secret does not say."""
    kid = settled(ring, now).active
    if kid is None or kid not in ring.held:
        raise CliError(
            f"Secret {names.SIGNING_SECRET} does not say which key signs: set its annotation"
            f" {names.ACTIVE_KID_ANNOTATION} to one of: {', '.join(sorted(ring.held)) or '(it holds none)'}"
        )
    return kid


def with_next(ring: Keyring, kid: str, pem: bytes, now: datetime) -> Keyring:
    """Begin a rotation with a new key, which has no time yet. A rotation that is under way goes on with its own."""
    ring = settled(ring, now)
    if ring.next is not None:
        return ring
    return replace(
        ring,
        held={**ring.held, kid: pem},
        active=signer(ring, now),
        next=kid,
        next_from=None,
        since={**ring.since, kid: timestamp(now)},
    )


def timed(ring: Keyring, kid: str, now: datetime, *, renew: bool, at_once: bool) -> Keyring:
    """Set the time from which the next key signs. It must be published.

    ``renew`` counts the time anew, for a key that was published only now. A key that is not (or no longer) the next
    one is left unchanged.
    """
    ring = settled(ring, now)
    if ring.next != kid:
        return ring
    if at_once:
        return replace(ring, active=kid, next=None, next_from=None)
    if ring.next_from is None or renew:
        return replace(ring, next_from=now + SPREAD)
    return ring


def without(ring: Keyring, kid: str, now: datetime) -> Keyring:
    """Remove a key; removing the next one ends its rotation. Raises CliError for the key that signs."""
    if kid in ring.held and kid == signer(ring, now):
        raise CliError(f"key {kid} signs tokens: make another with `berth key rotate`, and remove this one then")
    ring = settled(ring, now)
    is_next = ring.next == kid
    return replace(
        ring,
        held={other: pem for other, pem in ring.held.items() if other != kid},
        next=None if is_next else ring.next,
        next_from=None if is_next else ring.next_from,
        since={other: time for other, time in ring.since.items() if other != kid},
    )


def change(before: Keyring, after: Keyring) -> Object:
    """Merge patch of the Secret from one state to the other; a compare-and-swap."""
    data: dict[str, str | None] = {kid + PEM: None for kid in before.held if kid not in after.held}
    data |= {kid + PEM: base64.b64encode(pem).decode() for kid, pem in after.held.items() if kid not in before.held}
    return {"metadata": {"resourceVersion": before.version, "annotations": after.annotations()}, "data": data}


@dataclass(frozen=True)
class Row:
    """One key. ``since`` and ``signs_from`` are RFC 3339, None where unknown or never; ``held``: the private half."""

    kid: str
    since: str | None
    signs: bool
    signs_from: str | None
    verifies: bool
    held: bool

    def wire(self) -> dict[str, Any]:
        """As `--output json` and `yaml` print it."""
        return dict(vars(self))


def rows(ring: Keyring, published: frozenset[str], now: datetime) -> list[Row]:
    """All keys, the one that signs first, then the next one, then the newest."""
    ring = settled(ring, now)
    entries = [
        Row(
            kid=kid,
            since=ring.since.get(kid),
            signs=kid == ring.active and kid in ring.held,
            signs_from=timestamp(ring.next_from) if kid == ring.next and ring.next_from else None,
            verifies=kid in published,
            held=kid in ring.held,
        )
        for kid in sorted(ring.held.keys() | published)
    ]
    entries.sort(key=lambda row: row.since or "", reverse=True)
    return sorted(entries, key=lambda row: (not row.signs, row.kid != ring.next))


def _time(text: str | None) -> datetime | None:
    try:
        time = parse_time(text) if text else None
    except ValueError as error:
        raise CliError(_damaged(names.NEXT_FROM_ANNOTATION)) from error
    if time is not None and time.tzinfo is None:
        raise CliError(_damaged(names.NEXT_FROM_ANNOTATION))
    return time


def _since(text: str) -> dict[str, str]:
    try:
        times = json.loads(text)
    except json.JSONDecodeError as error:
        raise CliError(_damaged(names.KEYS_SINCE_ANNOTATION)) from error
    if not isinstance(times, dict) or not all(isinstance(time, str) for time in times.values()):
        raise CliError(_damaged(names.KEYS_SINCE_ANNOTATION))
    return times


def _damaged(annotation: str) -> str:
    return (
        f"the annotation {annotation} of Secret {names.SIGNING_SECRET} cannot be read:"
        " take it away (kubectl annotate) and repeat the command"
    )
