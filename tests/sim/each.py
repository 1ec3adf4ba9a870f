"""A script that tries each write: an ordinary course of things, and a fault or two at some write of a process."""

import random
from typing import Final

from .plan import POLICY, TRAP, USERS, Event
from .refused import WRITES
from .stage import Setting

MOST_WRITES: Final = {"operator": 120, "api": 40}
"""So many writes an ordinary course has, about."""
THEN: Final = ("deny", "lose", "late", "kill", "kill before", "pause", "pause before", "stop", "stop before")
HOOKS: Final = ((), (), ("prepare",), ("reset",), ("prepare", "reset", "healthCheck"))
PARTS: Final = ((), ("tunnels",), ("builds",), ("access",))
ENDS: Final = 20.0


def each(draw: random.Random) -> tuple[Setting, list[Event]]:
    """People ask for machines, use them and end that; a write of an operator or an API process meets a fault."""
    setting, events = course(draw)
    return setting, [*(_fault(draw) for _ in range(draw.choice((1, 2)))), *events]


def refused(draw: random.Random) -> tuple[Setting, list[Event]]:
    """An ordinary course of things, in which one kind of the operators' writes is refused from some moment on."""
    setting, events = course(draw)
    return setting, [*events, Event(draw.uniform(3.0, 24.0), POLICY, "", draw.random(), write=draw.choice(WRITES))]


def course(draw: random.Random) -> tuple[Setting, list[Event]]:
    """People ask for machines, use them and end that."""
    parts = draw.choice(PARTS)
    setting = Setting(
        deployments=draw.choice((1, 2)),
        warm=draw.random() < 0.5,
        hooks=draw.choice(HOOKS),
        quota=draw.choice((None, 1)),
        base=draw.choice((0.004, 0.02)),
        slowness=0.2,
        parts=parts,
    )
    return setting, [*_course(draw), *(event for part in parts for event in _more(draw, part))]


def _fault(draw: random.Random) -> Event:
    who = draw.choice(("operator", "operator", "operator", "api"))
    number, then, length = draw.randint(1, MOST_WRITES[who]), draw.choice(THEN), draw.uniform(3.0, 20.0)
    return Event(0.0, TRAP, who, 0.0, length, draw.choice((1.0, draw.random())), f"#{number}", then)


def _course(draw: random.Random) -> list[Event]:
    events = []
    for number, user in enumerate(USERS):
        begins = 4.0 + 2.0 * number + draw.random()
        what = draw.choice(("launch", "launch", "queue", "kubectl", "reserve"))
        events.append(Event(begins, what, user, draw.random(), 1.0, draw.uniform(0.3, 1.0)))
        for use in ("rule", "rule", "clear"):
            if draw.random() < 0.5:
                events.append(Event(draw.uniform(9.0, 16.0), use, user, draw.random(), 1.0, draw.random()))
        events.append(Event(ENDS + 4.0 * number, "end", user, 0.0, 1.0, draw.random()))
    if draw.random() < 0.2:
        what = draw.choice(("replace", "lockout", "again"))
        events.append(Event(draw.uniform(9.0, 24.0), what, "ada", draw.random(), 4.0, 0.0))
    return events


def _more(draw: random.Random, part: str) -> list[Event]:
    actions: dict[str, tuple[tuple[str, float], ...]] = {
        "tunnels": (("vpn_launch", 4.0), ("vpn_add", 10.0), ("vpn_add", 11.0), ("vpn_add", 13.0), ("vpn_revoke", 15.0)),
        "builds": (("build", 4.5), ("build", 6.0), ("build_cancel", 14.0), ("build_again", 22.0)),
        "access": (("forbid", 8.0), ("permit", 14.0), ("forbid", 18.0)),
    }
    return [
        Event(at + draw.random(), what, "ada", draw.random(), 4.0, draw.random(), part=part)
        for what, at in actions[part]
    ]
