"""Mutants of the real code: how many histories it takes until a deliberate mistake breaks an invariant.

Each names a function by its qualified name, and text in it that is replaced. It is applied to the module's source when
a fresh process imports it. One whose text is not there exactly once fails: the table follows the code.
"""

import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import CodeType, ModuleType


@dataclass(frozen=True)
class Mutant:
    """A mistake. ``where`` is ``module:qualified.name``; of a module's own statements ``module:``."""

    name: str
    where: str
    before: str
    after: str
    which: str = "full"
    """Set of histories that is played."""
    faults: str = "kill,cut,lose,apikill,node,gap"


class DoesNotApplyError(Exception):
    """The code has changed: the table must follow."""


def mutated(mutant: Mutant, source: str) -> str:
    """Return a module's source with the mistake. Raises DoesNotApplyError."""
    name = mutant.where.partition(":")[2]
    first, last = _lines(ast.parse(source), name.split(".")) if name else (1, source.count("\n") + 1)
    lines = source.splitlines(keepends=True)
    part = "".join(lines[first - 1 : last])
    if part.count(mutant.before) != 1:
        raise DoesNotApplyError(f"{mutant.name}: {mutant.before!r} is not once in {mutant.where}")
    return "".join(lines[: first - 1]) + part.replace(mutant.before, mutant.after) + "".join(lines[last:])


def _lines(tree: ast.AST, names: Sequence[str]) -> tuple[int, int]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == names[0]:
            return (node.lineno, node.end_lineno or node.lineno) if len(names) == 1 else _lines(node, names[1:])
    raise DoesNotApplyError(f"there is no {'.'.join(names)}")


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, mutant: Mutant) -> None:
        super().__init__(fullname, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        code: CodeType = compile(mutated(self._mutant, self.get_data(path).decode()), path, "exec")
        return code


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._mutant.where.partition(":")[0]:
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if found is None or found.origin is None:
            raise DoesNotApplyError(f"{self._mutant.name}: there is no module {fullname}")
        return importlib.util.spec_from_loader(fullname, _Loader(fullname, found.origin, self._mutant))


def install(mutant: Mutant) -> None:
    """Have the code imported from now on with the mistake."""
    sys.meta_path.insert(0, _Finder(mutant))


def source_of(mutant: Mutant) -> str:
    """Return the source of the module that a mutant changes."""
    found = importlib.util.find_spec(mutant.where.partition(":")[0])
    if found is None or found.origin is None:
        raise DoesNotApplyError(f"{mutant.name}: there is no such module")
    with open(found.origin, encoding="utf-8") as file:
        return file.read()
