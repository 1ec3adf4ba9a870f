"""Equalities in CEL selectors of devices. Pure.

Only the scheduler evaluates CEL. Berth reads the equalities that a selector joins with ``&&``: each must hold for the
device. Other parts stay unread, so a device that fits all equalities may still be another one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

Literal = str | int | bool

_STRING: Final = r"\"[^\"\\\n]*\"|'[^'\\\n]*'"
_LITERAL: Final = rf"{_STRING}|-?\d+|true|false"
_DOMAIN: Final = rf"device\.attributes\[\s*(?P<domain>{_STRING})\s*\]"
_ACCESSES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?P<driver>device\.driver)",
        rf"{_DOMAIN}\.(?P<name>\w+)",
        rf"{_DOMAIN}\.\?(?P<name>\w+)\.orValue\(\s*(?P<default>{_LITERAL})\s*\)",
    )
)
_EQUALITY: Final = re.compile(
    rf"(?P<left>.+?)\s*==\s*(?P<right>{_LITERAL})|(?P<first>{_LITERAL})\s*==\s*(?P<second>.+)"
)
_UNREAD: Final = re.compile(r"\\|//|\"\"\"|'''")
"""Escapes, comments and long strings: an expression with any of these is not taken apart."""
_WORD: Final = re.compile(rf"{_STRING}|&&|\|\||[.\[]\?|[?()\[\]{{}}]|.", re.DOTALL)


class Equality(NamedTuple):
    """A property that a device must have: a driver, or an attribute."""

    domain: str
    """Of the attribute; empty for the driver."""
    name: str
    """Of the attribute; empty for the driver."""
    value: Literal
    default: Literal | None = None
    """Counts for a device without the attribute; None where such a device does not fit."""


@dataclass(frozen=True)
class Selection:
    """The part of some selectors that was read."""

    equalities: tuple[Equality, ...] = ()
    whole: bool = True
    """Nothing stayed unread."""

    @property
    def driver(self) -> str | None:
        """Driver of the device; None where the selectors do not say."""
        return next((str(one.value) for one in self.equalities if not one.domain), None)

    def __add__(self, other: "Selection") -> "Selection":
        """Join two: all of both must hold."""
        return Selection((*self.equalities, *other.equalities), whole=self.whole and other.whole)


@lru_cache(maxsize=4096)
def read(expression: str) -> Selection:
    """Read one expression.

    >>> read('device.driver == "devices.berth.dev"').driver
    'devices.berth.dev'
    >>> read('device.attributes["x.test"].size > 3').whole
    False
    """
    parts = None if _UNREAD.search(expression) else _conjuncts(expression)
    if parts is None:
        return Selection(whole=False)
    found = [_equality(part) for part in parts]
    return Selection(tuple(one for one in found if one is not None), whole=None not in found)


def _conjuncts(expression: str) -> list[str] | None:
    """Parts that are joined by ``&&``, without their parentheses; None where something else joins them."""
    parts, depth = [""], 0
    for word in _WORD.findall(expression):
        if word in ("||", "?") and depth == 0:
            return None
        if word == "&&" and depth == 0:
            parts.append("")
            continue
        if word in ("(", "[", "{", "[?"):
            depth += 1
        elif word in (")", "]", "}"):
            depth -= 1
        parts[-1] += word
    if len(parts) > 1:
        return list(_flat(parts))
    part = parts[0].strip()
    inner = part[1:-1] if part.startswith("(") and part.endswith(")") and _closes_last(part) else None
    return [part] if inner is None else _conjuncts(inner)


def _flat(parts: list[str]) -> Iterator[str]:
    for part in parts:
        yield from _conjuncts(part) or [part]


def _closes_last(part: str) -> bool:
    """Whether the first parenthesis is closed by the last one."""
    depth = 0
    for word in _WORD.findall(part)[:-1]:
        depth += {"(": 1, ")": -1}.get(word, 0)
        if depth == 0:
            return False
    return True


def _equality(part: str) -> Equality | None:
    match = _EQUALITY.fullmatch(part.strip())
    if match is None:
        return None
    access, literal = (
        (match["left"], match["right"]) if match["right"] is not None else (match["second"], match["first"])
    )
    for pattern in _ACCESSES:
        if (found := pattern.fullmatch(access.strip())) is None:
            continue
        groups = found.groupdict()
        if groups.get("driver"):
            value = _value(literal)
            return Equality("", "", value) if isinstance(value, str) else None
        default = _value(groups["default"]) if groups.get("default") else None
        return Equality(str(_value(groups["domain"])), groups["name"], _value(literal), default)
    return None


def _value(literal: str) -> Literal:
    if literal in ("true", "false"):
        return literal == "true"
    return literal[1:-1] if literal[0] in "\"'" else int(literal)
