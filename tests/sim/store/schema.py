"""Structural schemas of CustomResourceDefinitions: pruning, defaults and validation, CEL rules included."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from .rules import Rule, predicate
from .trees import MISSING, copied, same

REQUIRED: Final = "FieldValueRequired"
INVALID: Final = "FieldValueInvalid"
TYPE: Final = "FieldValueTypeInvalid"
UNSUPPORTED: Final = "FieldValueNotSupported"
TOO_LONG: Final = "FieldValueTooLong"
TOO_MANY: Final = "FieldValueTooMany"
DUPLICATE: Final = "FieldValueDuplicate"
BLOCKING: Final = frozenset({UNSUPPORTED, REQUIRED, TOO_LONG, TOO_MANY, TYPE})
"""Errors after which CEL rules are not looked at."""
_TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}
Found = list[tuple[str, str, str]]
"""Errors: reason, field, message."""


@dataclass
class Node:
    """One node of a schema."""

    type: str
    properties: dict[str, "Node"] = field(default_factory=dict)
    additional: "Node | None" = None
    items: "Node | None" = None
    required: tuple[str, ...] = ()
    default: Any = MISSING
    checks: list[Callable[[Any], tuple[str, str] | None]] = field(default_factory=list)
    rules: list[tuple[Rule, str]] = field(default_factory=list)
    keys: tuple[str, ...] = ()
    defaults: list[str] = field(default_factory=list)
    formatted: bool = False
    """Whether it is a string with a format: a time."""
    timed: bool = False
    """Whether there is a time at or below it."""
    timed_properties: tuple[str, ...] = ()
    int_or_string: bool = False
    opaque: bool = False
    """Whether it is metadata, apiVersion or kind of the root: looked at elsewhere."""

    @cached_property
    def has_rules(self) -> bool:
        """Whether there is a CEL rule at or below it."""
        below = (*self.properties.values(), *(one for one in (self.additional, self.items) if one is not None))
        return bool(self.rules) or any(node.has_rules for node in below)


def compiled(schema: dict[str, Any], *, root: bool = True) -> Node:
    """Return a schema as it is walked.

    Raises:
        KeyError: a CEL rule has no predicate.

    """
    node = Node(schema.get("type", ""))
    node.int_or_string = bool(schema.get("x-kubernetes-int-or-string"))
    node.formatted = node.type == "string" and "format" in schema
    node.default = schema.get("default", MISSING)
    node.required = tuple(schema.get("required") or ())
    node.keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
    for name, inner in (schema.get("properties") or {}).items():
        node.properties[name] = compiled(inner, root=False)
    if root:
        for name in ("apiVersion", "kind", "metadata"):
            node.properties[name] = Node("", opaque=True)
    node.defaults = [name for name, inner in node.properties.items() if inner.default is not MISSING]
    if isinstance(schema.get("additionalProperties"), dict):
        node.additional = compiled(schema["additionalProperties"], root=False)
    if isinstance(schema.get("items"), dict):
        node.items = compiled(schema["items"], root=False)
    node.timed_properties = tuple(name for name, inner in node.properties.items() if inner.timed)
    if node.additional is not None and node.additional.timed:
        raise NotImplementedError("times in a map: readable() does not look there")
    node.timed = node.formatted or bool(node.timed_properties) or (node.items is not None and node.items.timed)
    node.checks = _checks(schema)
    for rule in schema.get("x-kubernetes-validations") or ():
        node.rules.append((predicate(rule["rule"]), rule["message"]))
    return node


Check = Callable[[Any], tuple[str, str] | None]


def _checks(schema: dict[str, Any]) -> list[Check]:
    made, of_text = list[Check](), list[Check]()

    def check(word: str, reason: str, holds: Callable[[Any, Any], bool], kinds: tuple[type, ...]) -> None:
        if (bound := schema.get(word)) is not None:
            (of_text if kinds == (str,) else made).append(
                lambda value: (
                    (reason, f"{word} {bound}") if isinstance(value, kinds) and not holds(value, bound) else None
                )
            )

    check("maxLength", TOO_LONG, lambda value, bound: len(value) <= bound, (str,))
    check("minLength", INVALID, lambda value, bound: len(value) >= bound, (str,))
    check("maxItems", TOO_MANY, lambda value, bound: len(value) <= bound, (list,))
    check("minItems", INVALID, lambda value, bound: len(value) >= bound, (list,))
    check("maximum", INVALID, lambda value, bound: value <= bound, (int, float))
    check("minimum", INVALID, lambda value, bound: value >= bound, (int, float))
    check("enum", UNSUPPORTED, lambda value, bound: value in bound, (object,))
    if (pattern := schema.get("pattern")) is not None:
        regex = re.compile(re.sub(r"\$$", r"\\Z", pattern))
        of_text.append(lambda value: None if not isinstance(value, str) or regex.search(value) else (INVALID, pattern))
    if of_text:  # the API server tells the first of these only
        made.append(lambda value: next((told for one in of_text if (told := one(value))), None))
    if schema.get("format") == "date-time":
        made.append(lambda value: None if not isinstance(value, str) or _is_time(value) else (TYPE, "date-time"))
    return made


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None and "T" in text.upper()
    except ValueError:
        return False


def shaped(node: Node, value: Any, old: Any = MISSING, *, nulls: bool = False) -> Any:
    """Return a value without unknown fields, with defaults, and without nulls, but where ``nulls`` may stay.

    A value that is ``old`` itself is shaped already.
    """
    if value is old or node.opaque:
        return value
    if isinstance(value, dict):
        if not node.properties and node.additional is None:
            return {} if value and node.type == "object" else value
        result = {}
        before = old if isinstance(old, dict) else {}
        for name, inner in value.items():
            known = node.properties.get(name) or node.additional
            if known is None or (inner is None and not (nulls and known.default is MISSING)):
                continue
            result[name] = shaped(known, inner, before.get(name, MISSING), nulls=nulls)
        for name in node.defaults:
            if name not in result:
                result[name] = shaped(node.properties[name], copied(node.properties[name].default))
        return result
    if isinstance(value, list) and node.items is not None:
        return [shaped(node.items, item, nulls=nulls) for item in value]
    return value


def check(node: Node, value: Any, old: Any, path: str, found: Found) -> None:
    """Add a value's errors. An unchanged value is not checked again (validation ratcheting)."""
    if node.opaque or (old is not MISSING and same(value, old)):
        return
    if not (isinstance(value, str | int) and not isinstance(value, bool) if node.int_or_string else _fits(node, value)):
        found.append((TYPE, path, f"must be of type {node.type}"))
    for test in node.checks:
        if (wrong := test(value)) is not None:
            found.append((wrong[0], path, wrong[1]))
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        for name in node.required:
            if name not in value:
                found.append((REQUIRED, _under(path, name), "Required value"))
        for name, inner in value.items():
            known = node.properties.get(name) or node.additional
            if known is not None:
                check(known, inner, before.get(name, MISSING), _under(path, name), found)
    elif isinstance(value, list) and node.items is not None:
        _check_items(node, value, old, path, found)


def _fits(node: Node, value: Any) -> bool:
    if node.formatted and isinstance(value, list):
        return True  # as kube-openapi has it
    return node.type not in _TYPES or _TYPES[node.type](value)


def _check_items(node: Node, value: list[Any], old: Any, path: str, found: Found) -> None:
    if node.items is None:
        return
    before = _by_key(node, old) if node.keys and isinstance(old, list) else {}
    seen: dict[Any, int] = {}
    for index, item in enumerate(value):
        key = _key(node, item)
        if node.keys and key is None:
            found.append((INVALID, f"{path}[{index}]", "must be an object for an array of list-type map"))
        if key is not None:
            seen[key] = seen.get(key, 0) + 1
            if seen[key] == 2:  # it is told once
                found.append((DUPLICATE, f"{path}[{index}]", "Duplicate value"))
        check(node.items, item, before.get(key, MISSING), f"{path}[{index}]", found)


def _key(node: Node, item: Any) -> tuple[Any, ...] | None:
    return tuple(item.get(key) for key in node.keys) if node.keys and isinstance(item, dict) else None


def _by_key(node: Node, items: list[Any]) -> dict[Any, Any]:
    return {_key(node, item): item for item in items}


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


class _Unreadable:
    """A list where a time belongs. It is stored, but CEL cannot read it: no rule holds that compares it."""

    def __eq__(self, _: object) -> bool:
        return False

    __ge__ = __le__ = __eq__


def readable(node: Node, value: Any) -> Any:
    """Return a value as CEL reads it, see :class:`_Unreadable`; shares what stays as it is."""
    if isinstance(value, dict):
        changed = {}
        for name in node.timed_properties:
            inner = value.get(name)
            if not isinstance(inner, str) and (new := readable(node.properties[name], inner)) is not inner:
                changed[name] = new
        return value | changed if changed else value
    if isinstance(value, list) and node.formatted:
        return _Unreadable()
    if isinstance(value, list) and node.items is not None and node.items.timed:
        items = [readable(node.items, item) for item in value]
        return value if all(one is other for one, other in zip(items, value, strict=True)) else items
    return value


def check_rules(node: Node, value: Any, old: Any, path: str, found: Found) -> None:
    """Add what CEL rules refuse, of :func:`readable` values. Of what is as it was every rule holds that held before."""
    if node.opaque or (old is not MISSING and same(value, old)):
        return
    for rule, message in node.rules:
        if rule.transition and old is MISSING:
            continue
        if not (rule.holds(value, old) if rule.transition else rule.holds(value, MISSING)):
            found.append((INVALID, path or "<nil>", message))
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        for name, inner in value.items():
            known = node.properties.get(name) or node.additional
            if known is not None:
                check_rules(known, inner, before.get(name, MISSING), _under(path, name), found)
    elif isinstance(value, list) and node.items is not None:
        known_items = _by_key(node, old) if node.keys and isinstance(old, list) else {}
        for index, item in enumerate(value):
            check_rules(node.items, item, known_items.get(_key(node, item), MISSING), f"{path}[{index}]", found)
