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
from typing import Final


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


LEASING: Final = "berth_core.leasing"
ENDING: Final = "berth_operator.ending"
ORPHAN: Final = "berth_operator.deployments:_orphan"

MUTANTS: Final = (
    Mutant(
        "lease taken without compare-and-swap",
        f"{LEASING}:_swap",
        '"metadata": {"resourceVersion": wd.metadata.resource_version},',
        '"metadata": {},',
    ),
    Mutant("epoch not counted", f"{LEASING}:take", "wd.status.epoch + 1", "wd.status.epoch + 2"),
    Mutant(
        "given back whoever has it",
        f"{LEASING}:give_back",
        "held is None or held.instance != instance or wd.status.epoch != lease.epoch",
        "held is None",
        faults="kill,lose,stop,held",
    ),
    Mutant(
        "given back before it is shut",
        f"{ENDING}:tear_down",
        "if not await shut(world, namespace, instance.public_id, lease_of):",
        "if not await shut(world, namespace, instance.public_id, lease_of) and False:",
    ),
    Mutant(
        "ended without sweeping",
        f"{ENDING}:tear_down",
        "or not await sweep(world, namespace, instance.public_id, lease_of)",
        "",
    ),
    Mutant("pods are not looked for", f"{ENDING}:", "(SERVICES, SECRETS, JOBS, PODS)", "(SERVICES, SECRETS, JOBS)"),
    Mutant("Secrets are not looked for", f"{ENDING}:", "(SERVICES, SECRETS, JOBS, PODS)", "(SERVICES, JOBS, PODS)"),
    Mutant(
        "no second look at what is left",
        f"{ENDING}:_gone",
        "        left = await _left(world, namespace, instance_id, labels, but)\n    if left:",
        "        left = []\n    if left:",
    ),
    Mutant("hooks after the end are not waited for", f"{ENDING}:tear_down", "outcome is None or", "False or"),
    Mutant(
        "finalizer dropped early",
        "berth_operator.removing:remove_pod",
        "if pod is None or not pod.deleting or not pod.harmless:",
        "if pod is None or not pod.deleting:",
    ),
    Mutant(
        "a pod that waits to start is harmless",
        "berth_operator.decide.seen:PodView.harmless",
        'if self.collected or self.phase not in ("Failed", "Succeeded"):',
        "if self.collected:",
    ),
    Mutant(
        "check of leadership removed",
        "berth_operator.leading:Leadership.check",
        "if not self.held:",
        "if False:",
        which="core",
        faults="stop,stopw",
    ),
    Mutant(
        "leadership is taken at once",
        "berth_operator.leading:Leadership._try",
        "sent - self._seen_at < LEASE_SECONDS",
        "False",
        which="core",
    ),
    Mutant("orphans look in the cache", ORPHAN, "await world.client.list(INSTANCES, namespace)", "([], '')"),
    Mutant(
        "orphans are not cleared",
        ORPHAN,
        "if not _living(same) and not await clear(world, namespace, lease.instance, taken):",
        "if False:",
        faults="kill,lose,apikill,held",
    ),
    Mutant("turns under way count as orphans", ORPHAN, "if await _is_reserved", "if False and await _is_reserved"),
    Mutant(
        "a lease is an orphan at once",
        "berth_operator.decide.deployment:",
        "timedelta(seconds=30)",
        "timedelta(seconds=0)",
    ),
    Mutant(
        "orphans are never given back",
        "berth_operator.decide.deployment:",
        "timedelta(seconds=30)",
        "timedelta(days=30)",
        faults="apikill,lose",
    ),
    Mutant(
        "undone though the Instance may come",
        "berth_api.services.launching:_make",
        "made_surely_not |= not isinstance(error, cluster.UnavailableError)",
        "made_surely_not = True",
        faults="lose,refuse",
    ),
    Mutant(
        "a newcomer does not look who waits",
        "berth_api.services.admission:admit",
        "_is_clear(state, wish, kind, present) or await _is_clear_live(wish, kind, present, live)",
        "True",
    ),
    Mutant(
        "who came last is served first", "berth_core.queue:turn_of", "_waits_since(metadata)", "-_waits_since(metadata)"
    ),
    Mutant(
        "quota counts no leases",
        "berth_core.slots:Claimant._take_slot",
        "len(leases | pending) >= quota.most",
        "len(pending) >= quota.most",
    ),
    Mutant("an answer is not kept", "berth_api.repeats:judge", "if record.answer is not None:", "if False:"),
    Mutant(
        "nothing is looked for before a repeat",
        "berth_api.idempotency:Idempotent._answer",
        "made = await recovery.answer_of(state, exchange.digest)",
        "made = None",
        faults="lose,apikill",
    ),
    Mutant(
        "rules that change are not read again",
        "berth_operator.memory:Memory.outdate_rules",
        "self.rules = None",
        "pass",
    ),
    Mutant(
        "a lost claim is not noticed",
        "berth_operator.decide.instance:",
        "    unbound,\n    fenced_out,",
        "    unbound,",
        faults="kill,held,stop,apistop",
    ),
    Mutant(
        "warm pods of old epochs stay",
        "berth_operator.decide.warm:decide",
        "if one.epoch != next_epoch:\n            remove.append(one.epoch)",
        "if one.epoch != next_epoch:\n            pass",
    ),
    Mutant(
        "news of old versions count",
        "berth_operator.store:Store.hear",
        "if known > version:\n            return False",
        "if known > version:\n            self._keep(kind, key, obj)",
    ),
    Mutant(
        "a pod of another epoch serves on",
        "berth_operator.decide.instance:pod_is_over",
        "pod.over or pod.epoch != seen.instance.status.epoch",
        "pod.over",
    ),
    Mutant("lost pods are not made again", "berth_operator.decide.instance:pod_is_over", "Step.RETIRE", "Step.REPORT"),
)


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


def install(number: int) -> Mutant:
    """Have the code imported from now on with the mistake of a number in the table."""
    mutant = MUTANTS[number]
    sys.meta_path.insert(0, _Finder(mutant))
    return mutant


def source_of(mutant: Mutant) -> str:
    """Return the source of the module that a mutant changes."""
    found = importlib.util.find_spec(mutant.where.partition(":")[0])
    if found is None or found.origin is None:
        raise DoesNotApplyError(f"{mutant.name}: there is no such module")
    with open(found.origin, encoding="utf-8") as file:
        return file.read()
