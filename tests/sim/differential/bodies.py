"""Random bodies for the kinds of crds/*.yaml, made from their schemas: mostly right, from few values."""

import random
import re
from functools import cache
from typing import Any, Final

import yaml

from berth_core.kube.types import Object

from ..store.kinds import CRDS

WORDS: Final = ("a", "b", "c")
STRINGS: Final = (
    *WORDS,
    "lab_1",
    "https://x.example/a",
    "git://x.example/repo",
    "ssh://git@x.example/a.git",
    "0" * 40,
    "f" * 64,
    "abcdef1",
    "/data",
    "10.0.0.0/8",
    "192.0.2.7",
    "2001:db8::1",
    "2001:db8::/32",
    "list",
    "",
    "/etc/x",
    "src/../x",
    "A_B",
    "2026-11-26T10:00:00Z",
)
TIMES: Final = ("2026-11-26T10:00:00Z", "2026-11-26T10:00:01Z", "2027-01-01T00:00:00Z")
JUNK: Final[tuple[Any, ...]] = ("", "x" * 300, -1, 10**9, True, None, [], {}, ["a"], {"a": "b"}, "2026-13-01")
EXTRA: Final[dict[str, Object]] = {
    "instances": {"workspaceType": "a", "user": "a"},
    "reservations": {"workspaceType": "a"},
    "builds": {"branch": "a"},
    "machinegrants": {"networks": [{"cidr": "10.0.0.0/8"}]},
    "firewallrules": {"source": "10.0.0.0/8"},
}
"""Fields that CEL rules ask for beyond the required ones."""


@cache
def schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas by plural."""
    found = {}
    for path in sorted(CRDS.glob("*.yaml")):
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]
        found[spec["names"]["plural"]] = spec["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def spec(plural: str, draw: random.Random, name: str) -> Object:
    """Return a spec for a create: what is required, and some more."""
    schema = schemas()[plural]["properties"]["spec"]
    made = {**_required(schema, draw), **EXTRA.get(plural, {})}
    if plural == "issuedtokens" and draw.random() < 0.9:
        made["sha256"] = name
    for _ in range(draw.choice((0, 0, 1, 2, 4))):
        made |= change(schema, draw)
    return made


def minimal(plural: str, draw: random.Random) -> Object:
    """Return a spec with what is asked for."""
    return {**_required(schemas()[plural]["properties"]["spec"], draw), **EXTRA.get(plural, {})}


def part(plural: str, where: str, draw: random.Random) -> Object:
    """Return a merge patch of the spec or the status."""
    schema = schemas()[plural]["properties"].get(where)
    if schema is None:
        return {draw.choice(WORDS): 1}
    made: Object = {}
    for _ in range(draw.choice((1, 1, 2, 3))):
        made |= change(schema, draw)
    return made


def change(schema: dict[str, Any], draw: random.Random) -> Object:
    """Return one field with a value: right, taken away (None), of a wrong kind, or unknown."""
    properties = schema.get("properties") or {}
    lot = draw.random()
    if not properties or lot < 0.02:
        return {"unknown": draw.choice(JUNK)}
    name = draw.choice(sorted(properties))
    if lot < 0.10:
        return {name: None}
    if lot < 0.14:
        return {name: draw.choice(JUNK)}
    inner = properties[name]
    if inner.get("properties") and draw.random() < 0.4:
        return {name: change(inner, draw)}
    return {name: value(inner, draw)}


def _required(schema: dict[str, Any], draw: random.Random) -> Object:
    return {name: value(schema["properties"][name], draw) for name in schema.get("required") or ()}


def value(schema: dict[str, Any], draw: random.Random) -> Any:
    """Return a value that the schema takes, most of the time."""
    if "enum" in schema:
        return draw.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "object":
        return _object(schema, draw)
    if kind == "array":
        length = draw.choice((0, 1, 1, 2, 3))
        length = max(length, int(schema.get("minItems", 0)))
        return [value(schema["items"], draw) for _ in range(length)]
    if kind == "boolean":
        return draw.random() < 0.5
    if kind in ("integer", "number"):
        low = int(schema.get("minimum", 0))
        bounds = (low, low, low + 1, low + 2, int(schema.get("maximum", low + 3)))
        return draw.choice(bounds)
    if schema.get("x-kubernetes-int-or-string"):
        return draw.choice((1, "1", "500m"))
    if schema.get("format") == "date-time":
        return draw.choice(TIMES)
    return _string(schema, draw)


def _object(schema: dict[str, Any], draw: random.Random) -> Object:
    properties = schema.get("properties") or {}
    if not properties:
        inner = schema.get("additionalProperties")
        return {draw.choice(WORDS): value(inner, draw)} if isinstance(inner, dict) and draw.random() < 0.7 else {}
    made = _required(schema, draw)
    for name in sorted(properties):
        if name not in made and draw.random() < 0.25:
            made[name] = value(properties[name], draw)
    return made


def _string(schema: dict[str, Any], draw: random.Random) -> str:
    regex = re.compile(schema.get("pattern", ""))
    low, high = int(schema.get("minLength", 0)), int(schema.get("maxLength", 1000))
    fitting = [text for text in STRINGS if regex.search(text) and low <= len(text) <= high]
    return draw.choice(fitting or list(STRINGS)) if "pattern" in schema or draw.random() < 0.2 else draw.choice(WORDS)
