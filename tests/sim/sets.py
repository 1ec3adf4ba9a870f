"""Sets of histories by name: which setting and faults the number of a history in a seed stands for."""

from typing import Final

from . import orphans
from .history import Outcome, play
from .plan import CORE, FAULTS, Plan, plan
from .stage import Setting, Stage

SETS: Final = ("core", "full", "d1", "late")


def named(which: str, seed: int, number: int, faults: tuple[str, ...] | None) -> Plan:
    """Return the plan of one history: ``core`` is quick, ``full`` has everything, ``d1`` and ``late`` have orphans."""
    name = f"{which}/{seed}/{number}"
    if which in ("d1", "late"):
        return Plan(name, Setting(), ())
    known = CORE if which == "core" else FAULTS
    return plan(name, known if faults is None else faults, full=which == "full")


def played(made: Plan) -> Outcome:
    """Play a plan of any set."""
    which = made.seed.partition("/")[0]
    if which not in ("d1", "late"):
        return play(made)
    stage: Stage = orphans.play(made.seed) if which == "d1" else orphans.play_late(made.seed)
    oracle, world = stage.oracle, stage.world
    return Outcome(made, stage.cluster.violations, oracle.leases, oracle.ready, world.steps, world.now, stage)
