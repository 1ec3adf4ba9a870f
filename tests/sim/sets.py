"""Sets of histories by name: which setting and faults the number of a history in a seed stands for."""

from typing import Final

from . import orphans, pauses, slips
from .history import Outcome, play
from .judgement import of_processes
from .plan import CORE, FAULTS, Plan, plan
from .scripts import SCRIPTS, scripted
from .stage import Setting

PLAYS: Final = {
    "d1": orphans.play,
    "late": orphans.play_late,
    "pause": pauses.play,
    "marked": pauses.play_marked,
    "dead": pauses.play_dead,
    "slip": slips.play,
}
"""Sets that have no plan: each history is one course of events, with times by its seed."""
SETS: Final = ("core", "full", *PLAYS, *SCRIPTS)


def named(which: str, seed: int, number: int, faults: tuple[str, ...] | None) -> Plan:
    """Return the plan of one history: ``core`` is quick, ``full`` has everything, the others are scripted."""
    if which not in SETS:
        raise ValueError(f"there is no set {which}: one of {', '.join(SETS)}")
    name = f"{which}/{seed}/{number}"
    if which in PLAYS:
        return Plan(name, Setting(), ())
    if which in SCRIPTS:
        return scripted(which, name)
    known = CORE if which == "core" else FAULTS
    return plan(name, known if faults is None else faults, full=which == "full")


def played(made: Plan) -> Outcome:
    """Play a plan of any set."""
    which = made.seed.partition("/")[0]
    if which not in PLAYS:
        return play(made)
    stage = PLAYS[which](made.seed)
    of_processes(stage)
    oracle, world = stage.oracle, stage.world
    return Outcome(made, stage.cluster.violations, oracle.leases, oracle.ready, world.steps, world.now, stage)
