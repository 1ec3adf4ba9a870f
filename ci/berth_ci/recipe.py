"""Reads .berth.yml: what a build runs, and where. Each complaint names the line. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

FILE: Final = ".berth.yml"
LARGEST: Final = 65536
"""Bytes of the file."""
DEFAULT_TIMEOUT: Final = 3600
MOST_COMMANDS: Final = 200
MOST_VARIABLES: Final = 100
MOST_PATHS: Final = 50
LONGEST_TEXT: Final = 8192
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "": 1}
_LENGTH: Final = re.compile(r"([1-9][0-9]{0,7})([smh]?)")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IMAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}")
_TYPE: Final = re.compile(r"[A-Za-z0-9_]{1,128}")
_TEXTS: Final = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "timestamp"))


class RecipeError(Exception):
    """The file is wrong. The message says in which line, and what to write instead."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"{FILE}, line {line}: {message}")
        self.line = line


@dataclass(frozen=True)
class Recipe:
    """Contents of the file."""

    image: str
    script: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: int = DEFAULT_TIMEOUT
    """Seconds."""
    workspace: str | None = None
    """Type of the machine that is leased for the build."""
    artifacts: tuple[str, ...] = ()
    """Paths and patterns below the work folder."""
    submodules: bool = False


def parse(text: str, longest: int) -> Recipe:
    """Read the file's text; a timeout may be ``longest`` seconds at most. Raises RecipeError."""
    root = _composed(text)
    values: dict[str, Any] = {}
    for key, value in _pairs(root, "the file"):
        if key.value not in _READERS:
            names = ", ".join(_READERS)
            raise RecipeError(_line(key), f"`{_short(key.value)}` is not known: there are {names}")
        values[key.value] = _READERS[key.value](value, key.value)
        if key.value == "timeout" and values["timeout"] > longest:
            raise RecipeError(_line(value), f"`timeout` may be {longest} s at most here")
    for name in ("image", "script"):
        if name not in values:
            raise RecipeError(_line(root), f"`{name}` is missing: {_WANTED[name]}")
    return Recipe(**values)


def _composed(text: str) -> yaml.MappingNode:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise RecipeError(mark.line + 1 if mark else 1, f"this is not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the latter of escapes and numbers that are too large
        raise RecipeError(1, f"this is not YAML: {_short(str(error))}") from error
    except RecursionError as error:
        raise RecipeError(1, "this is nested too deeply") from error
    if root is None:
        raise RecipeError(1, "the file is empty: write at least `image` and `script`")
    if not isinstance(root, yaml.MappingNode):
        raise RecipeError(_line(root), "the file must be a mapping, such as `image: debian:12`")
    return root


def _pairs(node: yaml.MappingNode, where: str) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    """Keys and values of a mapping, each key once."""
    lines: dict[str, int] = {}
    pairs: list[tuple[yaml.ScalarNode, yaml.Node]] = []
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise RecipeError(_line(key), f"keys of {where} must be words")
        if key.value in lines:
            raise RecipeError(_line(key), f"`{_short(key.value)}` stands in line {lines[key.value]} already")
        lines[key.value] = _line(key)
        pairs.append((key, value))
    return pairs


def _text(node: yaml.Node, name: str) -> str:
    if not isinstance(node, yaml.ScalarNode):
        shape = "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"
        raise RecipeError(_line(node), f"`{name}` must be text and is {shape}: put it in quotes where it has a colon")
    if node.tag not in _TEXTS or not node.value:
        raise RecipeError(_line(node), f"`{name}` has no value")
    if len(node.value) > LONGEST_TEXT:
        raise RecipeError(_line(node), f"`{name}` is longer than {LONGEST_TEXT} characters")
    if "\0" in node.value:
        raise RecipeError(_line(node), f"`{name}` has a null character")
    if any("\ud800" <= character <= "\udfff" for character in node.value):
        raise RecipeError(_line(node), f"`{name}` has half of a surrogate pair, which is no character")
    return str(node.value)


def _list(node: yaml.Node, name: str, most: int) -> list[yaml.Node]:
    if isinstance(node, yaml.ScalarNode) and node.tag in _TEXTS:
        return [node]
    if not isinstance(node, yaml.SequenceNode):
        raise RecipeError(_line(node), f"`{name}` must be a list, each entry on a line with `- ` before it")
    if not node.value:
        raise RecipeError(_line(node), f"`{name}` is an empty list")
    if len(node.value) > most:
        raise RecipeError(_line(node), f"`{name}` has more than {most} entries")
    return list(node.value)


def _image(node: yaml.Node, name: str) -> str:
    text = _text(node, name)
    if not _IMAGE.fullmatch(text):
        raise RecipeError(_line(node), f"`{name}` must be the name of an image, such as debian:12")
    return text


def _script(node: yaml.Node, name: str) -> tuple[str, ...]:
    return tuple(_text(entry, name) for entry in _list(node, name, MOST_COMMANDS))


def _env(node: yaml.Node, name: str) -> dict[str, str]:
    if not isinstance(node, yaml.MappingNode):
        raise RecipeError(_line(node), f"`{name}` must be a mapping of names to values, such as `MODE: fast`")
    if len(node.value) > MOST_VARIABLES:
        raise RecipeError(_line(node), f"`{name}` has more than {MOST_VARIABLES} entries")
    variables = {}
    for key, value in _pairs(node, f"`{name}`"):
        if not _VARIABLE.fullmatch(key.value):
            raise RecipeError(_line(key), f"`{_short(key.value)}` cannot be the name of a variable")
        if key.value.startswith("BERTH_"):
            raise RecipeError(_line(key), f"`{key.value}`: names that begin with BERTH_ are Berth's own")
        empty = isinstance(value, yaml.ScalarNode) and value.tag == _TEXTS[0] and not value.value
        variables[key.value] = "" if empty else _text(value, key.value)
    return variables


def _timeout(node: yaml.Node, name: str) -> int:
    match = _LENGTH.fullmatch(_text(node, name))
    if not match:
        raise RecipeError(_line(node), f"`{name}` must be seconds, or a number with s, m or h, such as 30m")
    return int(match[1]) * _UNITS[match[2]]


def _workspace(node: yaml.Node, name: str) -> str:
    text = _text(node, name)
    if not _TYPE.fullmatch(text):
        raise RecipeError(_line(node), f"`{name}` must be the name of a type, such as fixed_misty2")
    return text


def _artifacts(node: yaml.Node, name: str) -> tuple[str, ...]:
    paths = []
    for entry in _list(node, name, MOST_PATHS):
        text = _text(entry, name)
        if text.startswith("/") or ".." in text.split("/"):
            raise RecipeError(_line(entry), f"`{_short(text)}` must be a path below the work folder, without `..`")
        paths.append(text)
    return tuple(paths)


def _submodules(node: yaml.Node, name: str) -> bool:
    if not isinstance(node, yaml.ScalarNode) or node.value not in ("true", "false"):
        raise RecipeError(_line(node), f"`{name}` must be true or false")
    return bool(node.value == "true")


_READERS: Final[dict[str, Callable[[yaml.Node, str], object]]] = {
    "image": _image,
    "script": _script,
    "env": _env,
    "timeout": _timeout,
    "workspace": _workspace,
    "artifacts": _artifacts,
    "submodules": _submodules,
}
_WANTED: Final = {
    "image": "write in which image the script runs, such as `image: debian:12`",
    "script": "write which commands are run, one on each line with `- ` before it",
}


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _short(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()  # halves of surrogate pairs cannot be written down
    return text if len(text) <= 60 else f"{text[:60]}…"
