"""Reads a push of the operator, and decides whether it is newer than the one in force. Pure."""

import json
import re
from hashlib import sha256
from typing import Any, Final, NamedTuple

MAX_KEYS: Final = 256
_COMMENT: Final = re.compile(r'^\tcomment "berth e(\d+) g(\d+) ([0-9a-f]{64})"\n', re.MULTILINE)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class InForce(NamedTuple):
    """Which ruleset the kernel holds."""

    epoch: int
    generation: int
    digest: str


class Push(NamedTuple):
    """A request to put a ruleset, keys and a notice in force, all of it or nothing."""

    of: InForce
    ruleset: str
    keys: tuple[str, ...]
    notice: str
    cut: bool = False
    """Once it is in force, connections that others have opened are ended."""


def in_comment(text: str) -> InForce | None:
    """Read epoch, generation and digest from a table's comment, in a listing or in a ruleset; None without one."""
    match = _COMMENT.search(text)
    return InForce(int(match[1]), int(match[2]), match[3]) if match else None


def digest_of(ruleset: str) -> str:
    """SHA-256 (hex) of a ruleset without its comment line."""
    return sha256(_COMMENT.sub("", ruleset, count=1).encode()).hexdigest()


def parse(body: bytes) -> Push:
    """Read the JSON of ``PUT /v1/state``; unknown fields are left aside. ValueError says what is wrong with it."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise ValueError("the body is not JSON") from exc
    if not isinstance(fields, dict):
        raise ValueError("the body is not a JSON object")
    ruleset = _text(fields, "ruleset")
    epoch, generation = _number(fields, "epoch"), _number(fields, "generation")
    stamped = in_comment(ruleset)
    if stamped != InForce(epoch, generation, digest_of(ruleset)):
        raise ValueError("the ruleset's comment does not name this epoch and generation, and the digest of the rest")
    return Push(stamped, ruleset, _keys(fields), _text(fields, "notice"), fields.get("cut") is True)


def render(push: Push) -> bytes:
    """Body of ``PUT /v1/state`` that ``parse`` reads back to the same push."""
    return json.dumps(
        {
            "epoch": push.of.epoch,
            "generation": push.of.generation,
            "ruleset": push.ruleset,
            "authorizedKeys": list(push.keys),
            "notice": push.notice,
            "cut": push.cut,
        }
    ).encode()


def is_stale(state: InForce, now: InForce | None) -> bool:
    """Whether a push must be refused: older than what is in force, or as old and yet another ruleset."""
    if now is None:
        return False
    if (state.epoch, state.generation) == (now.epoch, now.generation):
        return state.digest != now.digest
    return (state.epoch, state.generation) < (now.epoch, now.generation)


def _number(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ValueError(f"`{name}` must be an integer from 0 on")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"`{name}` must be a string without NUL")
    value.encode()  # a lone surrogate raises UnicodeEncodeError, a ValueError
    return value


def _keys(fields: dict[str, Any]) -> tuple[str, ...]:
    value = fields.get("authorizedKeys")
    if not isinstance(value, list) or len(value) > MAX_KEYS:
        raise ValueError(f"`authorizedKeys` must be a list of at most {MAX_KEYS} lines")
    for key in value:
        if not isinstance(key, str) or _CONTROL.search(key) or not key.strip():
            raise ValueError("`authorizedKeys` must hold non-empty strings of one line each")
        key.encode()  # as in _text
    return tuple(value)
