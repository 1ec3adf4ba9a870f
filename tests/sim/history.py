"""Plays one history: its plan, then peace, then the end of everything; the oracle has the last word."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from .actions import act
from .faults import Faults
from .judgement import at_peace, at_the_end, is_over, of_processes
from .parts import made
from .plan import SPAN, Plan
from .refused import at_a_standstill
from .stage import Stage
from .users import Users

PEACE_SECONDS: Final = 70.0
"""After everything healed: leases without an Instance are given back after 30 s, and watches that broke go on."""
ROUND_SECONDS: Final = 10.0
MOST_ROUNDS: Final = 40
REFUSED_ROUNDS: Final = 10
"""The end of everything is asked for so often while a write is refused."""
AFTER_SECONDS: Final = 45.0
AFTER_FAULTS_SECONDS: Final = 75.0
"""The operator looks every minute for what was written too late."""


@dataclass
class Outcome:
    """The outcome of a history."""

    plan: Plan
    violations: list[tuple[float, str]]
    leases: int
    ready: int
    steps: int
    seconds: float
    """Of virtual time."""
    stage: Stage


def play(plan: Plan) -> Outcome:
    """Play a history to its end."""
    stage = Stage(plan.seed, plan.setting, calm=not any(event.is_fault for event in plan.events))
    world, stage.parts = stage.world, made(stage)
    users, faults = Users(stage), Faults(stage)
    for number in range(max(plan.setting.operators, 2)):
        stage.operator()
        if number < 2:
            stage.api()
    for event in plan.events:
        if event.is_fault:
            world.at(event.at, partial(faults.strike, event))
        else:
            world.at(
                event.at, partial(stage.parts[event.part].act if event.part else partial(act, stage), users, event)
            )
    world.run(SPAN)
    users.quiet = True
    if faults.forbidden is not None:
        _end_everything(stage, REFUSED_ROUNDS)
        world.run(SPAN + REFUSED_ROUNDS * ROUND_SECONDS)
        at_a_standstill(stage, faults.forbidden)
    faults.heal()
    world.run(world.now + PEACE_SECONDS)
    at_peace(stage)
    _end_everything(stage)
    world.run(world.now + (AFTER_FAULTS_SECONDS if any(e.is_fault for e in plan.events) else AFTER_SECONDS))
    at_the_end(stage)
    of_processes(stage)
    world.over = True
    return Outcome(
        plan, stage.cluster.violations, stage.oracle.leases, stage.oracle.ready, world.steps, world.now, stage
    )


def _end_everything(stage: Stage, rounds: int = MOST_ROUNDS) -> None:
    for _ in range(rounds):
        stage.release_quarantines()
        for part in stage.parts.values():
            part.finish()
        for obj in stage.active():
            stage.oracle.let_go(obj["metadata"]["name"])
            stage.end(obj["metadata"]["name"])
        stage.world.run(stage.world.now + ROUND_SECONDS)
        if is_over(stage):
            return
