"""JSON trees that are shared and never mutated: copies, comparison, merge patch (RFC 7396)."""

from typing import Any, Final

import orjson

from berth_core.kube.types import Object

MISSING: Final[Any] = object()
_CONTAINERS: Final = (dict, list)


def copied(value: Any) -> Any:
    """Return a copy of a JSON value that shares no container with it."""
    return orjson.loads(orjson.dumps(value)) if isinstance(value, _CONTAINERS) else value


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same; unlike ``==`` it tells true from 1."""
    if one is other:
        return True
    if type(one) is not type(other) or one != other:
        return False
    return not isinstance(one, _CONTAINERS) or (
        orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)
    )


def merged(target: Any, patch: Any) -> Any:
    """Return ``target`` with a merge patch. Shares with it what the patch leaves as it is, and copies of the patch."""
    if not isinstance(patch, dict):
        return copied(patch)
    if not isinstance(target, dict):
        return {key: merged(None, value) for key, value in patch.items() if value is not None}
    result: Object | None = None
    for key, value in patch.items():
        old = target.get(key, MISSING)
        if value is None:
            if old is not MISSING:
                result = dict(target) if result is None else result
                del result[key]
            continue
        new = merged(None if old is MISSING else old, value)
        if new is not old and (old is MISSING or not same(new, old)):
            result = dict(target) if result is None else result
            result[key] = new
    return target if result is None else result


def at(obj: Any, path: tuple[str, ...]) -> Any:
    """Return the value at a path of keys, or MISSING."""
    for step in path:
        if not isinstance(obj, dict):
            return MISSING
        obj = obj.get(step, MISSING)
    return obj


def with_defaults(value: Object, defaults: Object) -> Object:
    """Return an object with the fields of another that it has not."""
    missing = {key: inner for key, inner in defaults.items() if key not in value}
    return value | missing if missing else value
