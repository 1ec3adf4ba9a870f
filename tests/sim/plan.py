"""Plan of a history, from a seed: its setting, and a list of what people do and what goes wrong, with times.

The plan is data and is made before anything runs, so that parts of it can be left out (:mod:`tests.sim.shrink`).
"""

import random
from dataclasses import dataclass, replace
from typing import Final

from .stage import Setting

SPAN: Final = 40.0
"""Seconds in which things happen; then everything heals."""
FIRST: Final = 3.0
USERS: Final = ("ada", "bob", "cyd")

ACTIONS: Final = {
    "launch": 30,
    "queue": 10,
    "end": 26,
    "kubectl": 8,
    "kubectl-short": 3,
    "kubectl-delete": 7,
    "reserve": 6,
    "cancel": 5,
    "rule": 12,
    "clear": 3,
    "ping": 4,
    "show": 4,
    "lockout": 2,
    "replace": 2,
}
"""Actions of people, and how often each is drawn."""
MORE: Final = {
    "builds": {"build": 8, "build_cancel": 1, "build_again": 2, "build_delete": 1},
    "access": {"forbid": 3, "permit": 2},
    "heartbeats": {"hush": 1},
    "tunnels": {"vpn_launch": 3, "vpn_add": 8, "vpn_revoke": 3},
}
"""Parts that some histories of the set ``full`` have besides, with what people do in them."""
MORE_CHANCE: Final = 0.35
FAULTS: Final = (
    "stop",
    "vm",
    "kill",
    "cut",
    "held",
    "lose",
    "apistop",
    "apikill",
    "node",
    "skew",
    "stopw",
    "vmw",
    "gap",
    "refuse",
)
"""Classes of faults; README.md says what each is."""
TRAP: Final = "trap"
"""A fault at a write, as scripts lay it (:mod:`tests.sim.scripts`)."""
POLICY: Final = "policy"
"""One kind of the operators' writes is refused until all heals (:mod:`tests.sim.refused`)."""
CORE: Final = ("stop", "kill", "cut", "lose", "apikill", "node", "gap")
"""Classes of faults in the quick set."""


@dataclass(frozen=True)
class Event:
    """One thing that happens. ``chance`` (0 to 1) chooses whom it meets; times are in seconds."""

    at: float
    what: str
    user: str = ""
    chance: float = 0.0
    length: float = 0.0
    other: float = 0.0
    write: str = ""
    """Where a trap is laid: ``PATCH instances/status``, ``take`` (:func:`tests.sim.traps.write_of`)."""
    then: str = ""
    """Fault that springs there."""
    part: str = ""
    """Of which part it is; empty for what all histories have."""

    @property
    def is_fault(self) -> bool:
        """Whether something goes wrong, which nobody wants."""
        return self.what in (*FAULTS, TRAP, POLICY)


@dataclass(frozen=True)
class Plan:
    """A history before it is played."""

    seed: str
    setting: Setting
    events: tuple[Event, ...]


def plan(seed: str, faults: tuple[str, ...], *, full: bool) -> Plan:
    """Return the history that a seed names, with faults of some classes; all sorts of settings where ``full``."""
    draw = random.Random(f"{seed} plan")
    events = []
    for user in USERS:
        at = FIRST + draw.uniform(0.0, 2.0)
        while at < SPAN:
            what = draw.choices(list(ACTIONS), list(ACTIONS.values()))[0]
            events.append(Event(at, what, user, draw.random(), draw.uniform(1.0, 8.0), draw.random()))
            at += draw.expovariate(0.4)
    if faults:
        at = FIRST + draw.uniform(0.0, 8.0)
        while at < SPAN:
            what = draw.choice(faults)
            events.append(Event(at, what, "", draw.random(), _length(draw), draw.random()))
            at += draw.uniform(3.0, 14.0)
    setting = _setting(draw, full=full)
    if full:
        parts, more = _more(random.Random(f"{seed} more"))
        setting, events = replace(setting, parts=parts), events + more
    events.sort(key=lambda event: event.at)
    return Plan(seed, setting, tuple(events))


def _more(draw: random.Random) -> tuple[tuple[str, ...], list[Event]]:
    """Return the parts of a history and what people do in them."""
    parts = tuple(part for part in MORE if draw.random() < MORE_CHANCE)
    events = []
    for part in parts:
        at = FIRST + draw.uniform(0.0, 4.0)
        while at < SPAN:
            what = draw.choices(list(MORE[part]), list(MORE[part].values()))[0]
            user, length = draw.choice(USERS), draw.uniform(1.0, 8.0)
            events.append(Event(at, what, user, draw.random(), length, draw.random(), part=part))
            at += draw.expovariate(0.35)
    return parts, events


def _length(draw: random.Random) -> float:
    return draw.choice((draw.uniform(0.5, 6.0), draw.uniform(7.0, 12.0), draw.uniform(7.0, 34.0)))


def _setting(draw: random.Random, *, full: bool) -> Setting:
    hooks: tuple[str, ...] = ()
    if full and draw.random() < 0.35:
        hooks = draw.choice((("prepare",), ("reset",), ("prepare", "reset"), ("reset", "healthCheck")))
    return Setting(
        deployments=draw.choice((1, 2, 2, 3)) if full else draw.choice((1, 2)),
        warm=draw.random() < 0.4,
        hooks=hooks,
        hook_fails=0.1 if hooks and draw.random() < 0.3 else 0.0,
        quota=draw.choice((None, None, 1, 2)) if full else None,
        expire_after=draw.choice((None, None, 6, 15)) if full else None,
        base=draw.choice((0.002, 0.004, 0.02)),
        slow=draw.choice((0.02, 0.08)),
        slow_seconds=draw.choice((0.3, 2.0)),
        slowness=draw.choice((0.2, 1.0, 1.0)),
        exact=draw.random() < 0.3,
    )
