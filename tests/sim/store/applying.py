"""Server-side apply: an object with the fields that a manager wants, without those that it no longer wants."""

from typing import Any

from berth_core.kube.types import Object

from .kinds import Resource
from .owners import PLAIN, Manager, Owners, Path, Paths, Shape, differences, leaves, shape_of
from .trees import copied


class Conflicts(Exception):  # noqa: N818 (as the API server calls them)
    """Fields that other managers own with other values."""

    def __init__(self, found: list[tuple[Manager, Path]]) -> None:
        super().__init__(f"{len(found)} conflicts")
        self.found = found


def applied(
    resource: Resource, live: Object, owners: Owners, config: Object, manager: Manager, *, force: bool
) -> tuple[Object, Owners]:
    """Return the live object with a manager's configuration, and who owns what then.

    Raises:
        Conflicts: without ``force``, where other managers own fields that would change.

    """
    shape = shape_of(resource)
    wanted: Paths = frozenset(path for path, _ in leaves(config, shape))
    new = _merged(live, config, shape)
    still = wanted.union(*(paths for who, paths in owners.items() if who != manager))
    left = frozenset(path for path in owners.get(manager, frozenset()) - wanted if not _is_owned(path, still))
    emptied: set[Path] = set()
    if left:
        new = _without(new, shape, left, (), still, emptied)
    changed, removed = (paths - emptied for paths in differences(resource, live, new))
    found = []
    result: Owners = {}
    for who, paths in owners.items():
        if who == manager:
            continue
        found += [(who, path) for path in sorted(paths & changed, key=str)]
        result[who] = paths - changed - removed
    if found and not force:
        raise Conflicts(found)
    result[manager] = wanted
    return new, {who: paths for who, paths in result.items() if paths}


def shown(path: Path, shape: Shape) -> str:
    """Return a path as conflicts show it."""
    text = ""
    for step in path:
        if isinstance(step, tuple):
            names = shape.keys
            text += "[" + ",".join(f"{key}={_quoted(value)}" for key, value in zip(names, step, strict=False)) + "]"
            shape = shape.other or PLAIN
        else:
            text += f".{step}"
            shape = shape.of(step)
    return text


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _is_owned(path: Path, paths: Paths) -> bool:
    """Whether somebody owns a field, or something in it."""
    return path in paths or any(other[: len(path)] == path for other in paths)


def _merged(live: Any, config: Any, shape: Shape) -> Any:
    if shape.atomic:
        return copied(config)
    if isinstance(live, dict) and isinstance(config, dict):
        result = dict(live)
        for name, inner in config.items():
            result[name] = _merged(live[name], inner, shape.of(name)) if name in live else copied(inner)
        return result
    if isinstance(live, list) and isinstance(config, list) and (shape.keys or shape.set):
        return _merged_items(live, config, shape)
    return copied(config)


def _merged_items(live: list[Any], config: list[Any], shape: Shape) -> list[Any]:
    """Merge lists in the order of structured-merge-diff: the configuration's, with the live one's others between."""
    old = {shape.item(item): item for item in live}
    new = {shape.item(item): item for item in config}
    shared = [key for key in new if key in old]
    olds, news = list(old), list(new)
    result: dict[Path, Any] = {}

    def take(key: Path) -> None:
        inner = new[key]
        result[key] = _merged(old[key], inner, shape.other or PLAIN) if key in old and shape.keys else copied(inner)
        if shared and shared[0] == key:
            shared.pop(0)

    left = right = 0
    while left < len(olds) or right < len(news):
        if left < len(olds) and right < len(news):
            if olds[left] == news[right]:
                take(olds[left])
                left, right = left + 1, right + 1
                continue
            if olds[left] in new and shared and shared[0] != olds[left]:
                left += 1  # shared, but not its turn
                continue
        if left < len(olds) and (olds[left] not in new or olds[left] in result):
            result.setdefault(olds[left], old[olds[left]])
            left += 1
            continue
        if right < len(news):
            take(news[right])
            right += 1
    return list(result.values())


def _without(value: Any, shape: Shape, paths: Paths, at: Path, owned: Paths, emptied: set[Path]) -> Any:
    """Return a value, which is at a path of the object, without paths below it.

    Containers that get empty go too. In place of one that somebody owns null stays, which counts as no change of it.
    """
    here = {path[0] for path in paths if len(path) == 1}
    below: dict[Any, set[Path]] = {}
    for path in paths:
        if len(path) > 1:
            below.setdefault(path[0], set()).add(path[1:])

    def inside(key: Any, inner: Any, shape: Shape) -> Any:
        return _without(inner, shape, frozenset(below[key]), (*at, key), owned, emptied)

    if isinstance(value, dict):
        result: Object = {}
        for name, inner in value.items():
            if name in here:
                continue
            if name in below and (inner := inside(name, inner, shape.of(name))) in ({}, [], None):
                if not _is_owned((*at, name), owned):
                    continue
                emptied.add((*at, name))
                inner = None
            result[name] = inner
        return result
    if isinstance(value, list) and (shape.keys or shape.set):
        keyed = [(shape.item(inner), inner) for inner in value]
        return [
            inside(key, inner, shape.other or PLAIN) if key in below else inner
            for key, inner in keyed
            if key not in here
        ]
    return value
