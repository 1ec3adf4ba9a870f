"""Values by a CRD's schema, most of them good, some at its edges and beyond: for objects to be spoilt with."""

import random
from collections.abc import Callable
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Json = dict[str, Any]

TIMES: Final = (
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00.123456789+02:00",
    "2026-01-01t00:00:00z",
    "2026-02-29T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-01-01T00:00:00+99:99",
    "2026-01-01T00:00:00-00:00",
    "2026-01-01T00:00:60Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:00:00,5Z",
    "2026-01-01T00:00:00Zt",
    "2026-01-01",
    "",
)
TEXTS: Final = (
    "a",
    "",
    "one",
    "*",
    "192.0.2.7",
    "192.0.2.7/24",
    "2001:db8::/32",
    "::ffff:192.0.2.7/120",
    "0.0.0.0/0",
    "192.0.2.0/024",
    "fe80::1%eth0/64",
    "https://example.org/hook",
    "https://[::1",
    "HTTPS://example.org",
    "https://host:99999999/a",
    "git://user@host/arm.git",
    "ssh://git@[2001:db8::1]:22/arm.git",
    "a\nb",
    "\n",
    "/",
    "/a\n",
    "ä\U0001f916\u202e",
    "e\u0301" * 60,
    "\u2028",
    "x" * 300,
)
NUMBERS: Final = (0, 1, -1, 2, 5, 22, 1.0, 1.5, 1e3, 65535, 65536, 2**31 - 1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63)
OTHERS: Final[tuple[Any, ...]] = (None, True, 7, "7", [], {}, [None], {"": None}, 1e300)
_fitting: dict[str, list[str]] = {}


def value(schema: Json, rng: random.Random) -> Any:
    """Make a value for a part of a schema."""
    if rng.random() < 0.06:
        return rng.choice(OTHERS)
    if schema.get("x-kubernetes-int-or-string"):
        return rng.choice((*NUMBERS, *TEXTS))
    if "enum" in schema and rng.random() < 0.9:
        return rng.choice(schema["enum"])
    return _BY_TYPE[schema.get("type", "object")](schema, rng)


def spoilt(schema: Json, base: Any, rng: random.Random) -> Any:
    """Give some parts of a good value other values, add some and leave some out."""
    if schema.get("type") == "array" and isinstance(base, list) and base and rng.random() < 0.5:
        place = rng.randrange(len(base))
        return [spoilt(schema["items"], one, rng) if place == number else one for number, one in enumerate(base)]
    properties = schema.get("properties")
    if not properties or not isinstance(base, dict):
        return value(schema, rng)
    made = dict(base)
    for name in rng.sample(sorted(properties), min(len(properties), rng.choice((1, 1, 1, 2, 4)))):
        if name in made and rng.random() < 0.1:
            del made[name]
        elif name in made:
            made[name] = spoilt(properties[name], made[name], rng)
        else:
            made[name] = value(properties[name], rng)
    return made


def _text(schema: Json, rng: random.Random) -> str:
    if schema.get("format") == "date-time":
        return rng.choice(TIMES) if rng.random() < 0.5 else TIMES[0]
    if "pattern" in schema and rng.random() < 0.8:
        return rng.choice(_matching(schema["pattern"]))
    bounds: list[int] = [
        schema[word] + more for word in ("minLength", "maxLength") if word in schema for more in (-1, 0, 1)
    ]
    if bounds and rng.random() < 0.3:
        return rng.choice("xä\U0001f916\n") * max(rng.choice(bounds), 0)
    return rng.choice(TEXTS)


def _number(schema: Json, rng: random.Random) -> float:
    bounds: list[float] = [
        schema[word] + more for word in ("minimum", "maximum") if word in schema for more in (-1, 0, 1)
    ]
    return rng.choice([*bounds, *bounds, *NUMBERS])


def _list(schema: Json, rng: random.Random) -> list[Any]:
    return [value(schema["items"], rng) for _ in range(rng.choice((0, 1, 1, 2, 3, schema.get("maxItems", 3))))][:40]


def _object(schema: Json, rng: random.Random) -> Json:
    if "properties" not in schema:
        inner = schema.get("additionalProperties")
        return {rng.choice(TEXTS): value(inner, rng) for _ in range(rng.choice((0, 1, 2)))} if inner else {}
    required, made = schema.get("required", ()), {}
    for name, inner in schema["properties"].items():
        if rng.random() < (0.97 if name in required else 0.3):
            made[name] = value(inner, rng)
    return made


def _matching(pattern: str) -> list[str]:
    """Some texts that a pattern takes, the same ones each time."""
    if pattern not in _fitting:
        found: list[str] = []

        @settings(max_examples=60, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        @given(st.from_regex(pattern))
        def collect(text: str) -> None:
            found.append(text)

        collect()
        _fitting[pattern] = found
    return _fitting[pattern]


_BY_TYPE: Final[dict[str, Callable[[Json, random.Random], Any]]] = {
    "string": _text,
    "integer": _number,
    "boolean": lambda _, rng: rng.random() < 0.5,
    "array": _list,
    "object": _object,
}
