"""Where code that a table names stands: the one way in which tables of tests and of the specification name code.

A name is dotted: ``berth_core.leases.leasing.take``, ``berth_operator.leadership.leading.Leadership.check``, or a
module's own. It is looked for in the source, without importing it, so that a table can be checked in any process.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class NoSuchCodeError(Exception):
    """The code has changed: the table that names it must follow."""


@dataclass(frozen=True)
class Place:
    """A module, and the lines (from 1) of what is named in it; ``qualified`` is empty for the whole module."""

    module: str
    file: Path
    qualified: str
    first: int
    last: int

    @property
    def source(self) -> str:
        """Of the module."""
        return self.file.read_text(encoding="utf-8")


@cache
def place_of(name: str) -> Place:
    """Find a module, or a class, function, method or variable in it. Raises NoSuchCodeError."""
    parts = name.split(".")
    path: Sequence[str] | None = None
    for length in range(1, len(parts) + 1):
        found = PathFinder.find_spec(".".join(parts[:length]), path)
        if found is None:
            break
        path = found.submodule_search_locations
        if path is not None and length < len(parts):
            continue
        if found.origin is None:
            break
        file, rest = Path(found.origin), parts[length:]
        source = file.read_text(encoding="utf-8")
        lines = _lines(ast.parse(source), rest) if rest else (1, source.count("\n") + 1)
        if lines is None:
            break
        return Place(found.name, file, ".".join(rest), *lines)
    raise NoSuchCodeError(f"there is no {name}")


def _lines(tree: ast.AST, names: Sequence[str]) -> tuple[int, int] | None:
    for node in ast.iter_child_nodes(tree):
        if names[0] not in _defined(node):
            continue
        if len(names) > 1:
            return _lines(node, names[1:])
        if isinstance(node, ast.stmt):
            return node.lineno, node.end_lineno or node.lineno
    return None


def _defined(node: ast.AST) -> set[str]:
    if isinstance(node, DEFINITIONS):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}
