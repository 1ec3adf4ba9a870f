"""Mutants of the real code: how many histories it takes until a deliberate mistake breaks an invariant.

Each names code by its qualified name (:mod:`tests.sim.code_names`), and text in it that is replaced. It is applied
to the module's source when a fresh process imports it. One whose text is not there exactly once fails: the table
follows the code.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import CodeType, ModuleType

from .code_names import Place, place_of


@dataclass(frozen=True)
class Mutant:
    """A mistake in the code that ``where`` names."""

    name: str
    where: str
    before: str
    after: str
    which: str
    """Set of histories that reaches it (:mod:`tests.sim.sets`)."""
    faults: str = ""
    """Classes of faults, in the sets that chance makes; all of them where it is empty."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Of faults, as the set wants them."""
        return tuple(self.faults.split(",")) if self.faults else None


class DoesNotApplyError(Exception):
    """The code has changed: the table must follow."""


def mutated(mutant: Mutant) -> str:
    """Return a module's source with the mistake. Raises NoSuchCodeError or DoesNotApplyError."""
    place = place_of(mutant.where)
    lines = place.source.splitlines(keepends=True)
    part = "".join(lines[place.first - 1 : place.last])
    if part.count(mutant.before) != 1:
        raise DoesNotApplyError(f"{mutant.name}: {mutant.before!r} is not once in {mutant.where}")
    return "".join(lines[: place.first - 1]) + part.replace(mutant.before, mutant.after) + "".join(lines[place.last :])


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, place: Place, source: str) -> None:
        super().__init__(place.module, str(place.file))
        self._source = source

    def get_code(self, fullname: str) -> CodeType | None:
        code: CodeType = compile(self._source, self.get_filename(fullname), "exec")
        return code


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, place: Place, source: str) -> None:
        self._place = place
        self._source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._place.module:
            return None
        return importlib.util.spec_from_loader(fullname, _Loader(self._place, self._source))


def install(mutant: Mutant) -> None:
    """Have the code imported from now on with the mistake. Raises what :func:`mutated` does."""
    place, source = place_of(mutant.where), mutated(mutant)
    if place.module in sys.modules:
        raise DoesNotApplyError(f"{place.module} is imported already")
    sys.meta_path.insert(0, _Finder(place, source))
