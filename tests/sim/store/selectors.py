"""Label and field selectors, as lists and watches take them."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from berth_core.kube.types import Object

from .kinds import Resource
from .trees import MISSING, at

Labels = Mapping[str, str]
Matches = Callable[[Object], bool]
_SET: Final = re.compile(r"^\s*(\S+)\s+(in|notin)\s+\(([^)]*)\)\s*$")
_TERM: Final = re.compile(r",(?![^(]*\))")
_FIELD_TERM: Final = re.compile(r"(?<!\\),")
_FIELD: Final = re.compile(r"^(.*?)(==|!=|=)(.*)$", re.DOTALL)

_ABSENT: Final[dict[tuple[str, ...], str]] = {
    ("spec", "hostNetwork"): "false",
    ("spec", "unschedulable"): "false",
    ("status", "successful"): "0",
}
"""Fields that Go's encoder leaves out, as selectors see them."""


@lru_cache(maxsize=4096)
def labels(text: str) -> Callable[[Labels], bool]:
    """Return what a label selector asks of an object's labels."""
    terms = [_label_term(term) for term in _TERM.split(text) if term.strip()]
    return lambda own: all(term(own) for term in terms)


def _label_term(term: str) -> Callable[[Labels], bool]:
    if found := _SET.match(term):
        key, operator, values = found.group(1), found.group(2), {v.strip() for v in found.group(3).split(",")}
        if operator == "in":
            return lambda own: own.get(key) in values
        return lambda own: own.get(key) not in values
    term = term.strip()
    if "!=" in term:
        key, value = (part.strip() for part in term.split("!=", 1))
        return lambda own: own.get(key) != value
    if "=" in term:
        key, value = (part.strip(" =") for part in term.split("=", 1))
        return lambda own: own.get(key) == value
    if term.startswith("!"):
        return lambda own: term[1:].strip() not in own
    return lambda own: term in own


@lru_cache(maxsize=4096)
def field_terms(text: str) -> tuple[tuple[str, bool, str], ...]:
    """Return the terms of a field selector: path, whether it must be equal, value.

    Raises:
        ValueError: a term has no operator.

    """
    terms = []
    for term in _FIELD_TERM.split(text):
        if not term:
            continue
        if (found := _FIELD.match(term)) is None:
            raise ValueError(f"invalid selector: '{text}'; can't understand '{term}'")
        value = re.sub(r"\\(.)", r"\1", found.group(3))
        terms.append((found.group(1), found.group(2) != "!=", value))
    return tuple(terms)


def selected(resource: Resource, label_text: str, field_text: str) -> Matches | None:
    """Return what a list's or watch's selectors ask of an object, None for nothing.

    Raises:
        ValueError: the kind has no such selectable field, or a selector cannot be read.

    """
    if not label_text and not field_text:
        return None
    terms = []
    for path, equal, value in field_terms(field_text):
        if path not in resource.selectable:
            raise ValueError(f"field label not supported: {path}")
        terms.append((tuple(path.split(".")), equal, value))
    wanted = labels(label_text) if label_text else None

    def matches(obj: Object) -> bool:
        if wanted is not None and not wanted(obj["metadata"].get("labels") or {}):
            return False
        return all((_shown(at(obj, path), path) == value) is equal for path, equal, value in terms)

    return matches


def _shown(value: object, path: tuple[str, ...]) -> str:
    if value is MISSING or value is None:
        return _ABSENT.get(path, "")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
