"""Scripted histories: short ones that lead straight to where a protocol is delicate; the seed draws the rest.

Each is a plan like any other: it is played, judged and made smaller as those that chance alone has made.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from .each import each, refused
from .plan import TRAP, USERS, Event, Plan
from .stage import Setting

TERMS: Final = ("open", "late", "end", "back", "mount", "rules")
Script = Callable[[random.Random], tuple[Setting, list[Event]]]
BEGIN: Final = 4.0
TAKES_OVER: Final = 8.0
"""After so many seconds another operator leads."""

OPENING: Final = {
    "POST secrets": 8,
    "POST pods": 4,
    "PATCH instances/status": 2,
    "take": 2,
    "PATCH instances": 1,
}
ENDING: Final = {
    "give back": 12,
    "PATCH instances/status": 3,
    "DELETE secrets": 2,
    "DELETE pods": 2,
    "PATCH pods": 1,
}
CALLING: Final = {
    "POST instances": 8,
    "take": 4,
    "POST secrets": 1,
    "PATCH secrets": 1,
    "POST reservations": 1,
}
LEADERS_END: Final = {"pause before": 6, "pause": 2, "stop before": 1, "kill before": 2, "kill": 1}
CALLS_END: Final = {"kill": 3, "kill before": 1, "lose": 2, "late": 3, "stop": 1, "pause before": 2, "refuse": 1}


def terms(draw: random.Random, part: str = "") -> tuple[Setting, list[Event]]:
    """Leaders that overlap (D7, D9): each is paused at a write of a lease, and goes on when another has ended it."""
    count = draw.choice((1, 1, 1, 2))
    setting = Setting(
        deployments=1,
        operators=count + draw.choice((1, 2)),
        warm=draw.random() < 0.2,
        hooks=draw.choice(((), (), (), ("prepare",), ("reset",))),
        base=draw.choice((0.004, 0.02)),
        slowness=draw.choice((0.2, 1.0)),
    )
    events = [Event(BEGIN, draw.choice(("launch", "launch", "kubectl", "reserve")), "ada", other=0.5)]
    events += _insists(draw, "bob", BEGIN + 1.0, 39.0)
    match part or draw.choice(TERMS):
        case "open":
            end = BEGIN + TAKES_OVER * count + draw.uniform(0.3, 5.0)
            over = end + draw.uniform(1.0, 9.0)
            events += _traps(draw, "operator", 3.0, OPENING, [over - BEGIN - TAKES_OVER * n for n in range(count)])
        case "late":
            setting = replace(setting, operators=3)
            end = BEGIN + TAKES_OVER * 2 + draw.uniform(0.3, 5.0)
            over = end + draw.uniform(2.5, 8.0)
            events += _late_writes(draw, over)
        case "end":
            end = BEGIN + draw.uniform(1.5, 5.0)
            over = TAKES_OVER * count + draw.uniform(0.5, 9.0)
            events += _traps(draw, "operator", end - 0.01, ENDING, [over - TAKES_OVER * n for n in range(count)])
        case "back":
            end = BEGIN + draw.uniform(1.5, 5.0)
            length = draw.uniform(10.0, 17.0)
            events.append(Event(end - 0.01, TRAP, "operator", 0.0, length, 1.0, "give back", "pause before"))
        case "mount":
            setting = replace(setting, operators=2, warm=False, hooks=(), base=0.02, slowness=0.2)
            events[0] = replace(events[0], what="launch")
            end = BEGIN + TAKES_OVER + draw.uniform(0.3, 5.0)
            over = end + draw.uniform(4.0, 9.0)
            events.append(Event(3.0, TRAP, "operator", 0.0, over - BEGIN, 1.0, "POST secrets", "pause before"))
            events += _nobody_clears(over)
        case _:
            # Rules are compared when all is quiet, so that some instances go on until then.
            end = draw.choice((38.0, 130.0))
            events[0] = replace(events[0], what="launch")
            for at in _times(draw, 6.0, 34.0, 0.7):
                events.append(Event(at, "rule", "ada", 0.0, other=draw.uniform(0.4, 1.0)))
            fault, length = draw.choice(("vm", "stop", "held")), draw.uniform(7.6, 14.0)
            events.append(Event(draw.uniform(9.0, 14.0), fault, "", 0.5, length))
    events += [Event(end + later, "end", "ada", 0.0, other=draw.random()) for later in (0.0, 0.7)]
    return setting, events


def calls(draw: random.Random, part: str = "") -> tuple[Setting, list[Event]]:
    """An API process is met at a write of a launch (D1, D2), and its client asks again."""
    setting = Setting(
        deployments=draw.choice((1, 1, 2)),
        warm=draw.random() < 0.3,
        hooks=draw.choice(((), (), ("reset",))),
        quota=draw.choice((None, None, 1)),
    )
    events = [
        Event(BEGIN, draw.choice(("launch", "launch", "queue")), "ada", other=0.5),
        Event(BEGIN + draw.uniform(0.5, 20.0), "show", "ada"),
        Event(BEGIN + draw.uniform(62.0, 80.0), "again", "ada"),
    ]
    if part == "made":  # nobody is told of the Instance, and another could be had
        events[0] = replace(events[0], what="launch")
        end = draw.choice(("kill", "lose"))
        trap = Event(3.0, TRAP, "api", 0.0, 2.0, 1.0, "POST instances", end)
        return replace(setting, deployments=2, quota=None), [*events, trap]
    if draw.random() < 0.25:  # it is answered, and the Instance is deleted
        return setting, [*events, Event(draw.uniform(8.0, 38.0), "end", "ada", 0.0, other=0.9)]
    lengths = [draw.choice((draw.uniform(0.5, 8.0), draw.uniform(9.0, 14.0), draw.uniform(26.0, 34.0)))]
    events += _traps(draw, "api", 3.0, CALLING, lengths, CALLS_END)
    if draw.random() < 0.4:
        events += _traps(
            draw, "operator", 3.0, {"POST instances": 1}, [draw.uniform(0.1, 15.0)], {"refuse": 2, "kill": 1}
        )
    events += _insists(draw, "bob", BEGIN + 0.5, 39.0)
    if draw.random() < 0.5:
        events.append(Event(draw.uniform(12.0, 38.0), "end", "ada", 0.0, other=draw.random()))
    return setting, events


def queue(draw: random.Random, part: str = "") -> tuple[Setting, list[Event]]:
    """Several wait, and newcomers insist when what they wait for is given back."""
    setting = Setting(
        deployments=draw.choice((1, 1, 2)), warm=draw.random() < 0.3, quota=draw.choice((None, None, None, 1)), slow=0.1
    )
    events = [Event(BEGIN + 0.1 * n, "launch", "ada", other=0.5) for n in range(3)]
    for user in ("bob", "cyd"):
        for at in (draw.uniform(BEGIN + 1.0, 12.0), draw.uniform(BEGIN + 1.0, 12.0)):
            events.append(
                Event(at, draw.choice(("queue", "reserve", "kubectl")), user, draw.random(), other=draw.random())
            )
    for at in _times(draw, 15.0, 38.0, 3.0):
        user = draw.choice(("ada", "bob", "cyd"))
        events.append(Event(at, "end", user, draw.random(), other=draw.random()))
        events += [Event(at + later, "launch", "ada", other=0.5) for later in _times(draw, 0.0, 2.0, 0.15)]
    if part == "refused":
        events += _traps(draw, "operator", 3.0, {"POST instances": 1}, [0.0], {"deny": 1})
    elif draw.random() < 0.3:
        events += _traps(draw, "operator", 3.0, {"POST instances": 1}, [draw.uniform(0.1, 8.0)], {"refuse": 1})
    return setting, events


def machines(draw: random.Random) -> tuple[Setting, list[Event]]:
    """Deployments are deleted and made again, pods are lost, news are late, while leases come and go (D4, D6, D8)."""
    setting = Setting(
        deployments=1,
        warm=draw.random() < 0.7,
        hooks=draw.choice(((), (), ("prepare",), ("reset",), ("prepare", "reset"))),
        slowness=draw.choice((0.2, 1.0, 3.0)),
    )
    events = []
    for at in _times(draw, BEGIN, 34.0, 4.0):
        kind = draw.choice(("launch", "kubectl", "kubectl-delete", "kubectl-delete", "queue"))
        user = draw.choice(("ada", "bob"))
        events.append(Event(at, kind, user, draw.random(), draw.uniform(0.1, 3.0), draw.uniform(0.3, 0.8)))
        if draw.random() < 0.6:
            events.append(Event(at + draw.uniform(0.1, 4.0), "end", user, 0.0, other=draw.random()))
    for at in _times(draw, 6.0, 38.0, 8.0):
        events += [
            Event(at + later, "replace", "cyd", 0.0) for later in draw.choice(((0.0,), (0.0, draw.uniform(0.1, 2.0))))
        ]
    for at in _times(draw, 6.0, 38.0, 8.0):
        events.append(Event(at, "node", "", 0.0, draw.uniform(2.0, 8.0), draw.choice((0.3, 0.7, 0.7, 0.9))))
    match draw.choice(("", "gap", "trap", "kill")):
        case "gap":
            events.append(Event(draw.uniform(4.0, 20.0), "gap", "", draw.random(), draw.uniform(2.0, 16.0), 0.2))
        case "trap":
            writes = OPENING | ENDING
            events += _traps(draw, "operator", 3.0, writes, [draw.uniform(8.0, 16.0)])
        case "kill":
            events.append(Event(draw.uniform(4.0, 30.0), "kill", "", draw.random(), 0.0, 0.2))
    return setting, events


def gone(draw: random.Random) -> tuple[Setting, list[Event]]:
    """The Instance for which a lease is taken has gone when the take arrives.

    A pod was kept warm for that lease; or the operators hear late that the Instance has gone.
    """
    setting = Setting(deployments=1, warm=draw.random() < 0.5, slowness=draw.choice((0.2, 1.0)))
    at, lives = draw.uniform(7.0, 12.0), draw.uniform(0.2, 0.4)
    events = [
        Event(3.0, TRAP, "operator", 0.0, 1.0, 0.8, "take", "late"),
        Event(at, "kubectl-delete", "ada", 0.0, 1.0, lives),
        *_insists(draw, "bob", 14.0, 30.0),
    ]
    if not setting.warm:
        events += [Event(at + lives - 0.01, "gap", "", chance, 16.0, 0.2) for chance in (0.0, 0.3)]
    return setting, events


def free(draw: random.Random) -> tuple[Setting, list[Event]]:
    """A machine is locked when the take for Ada arrives, and can be had again when Ada's slot is dropped. Bob waits."""
    setting = Setting(deployments=1, quota=1, slowness=draw.choice((0.2, 1.0)))
    locked = draw.uniform(9.0, 10.0)
    return setting, [
        Event(3.0, TRAP, "operator", 0.0, 6.5, 1.0, "take", "late"),
        Event(3.0, TRAP, "operator", 0.0, 4.0, 1.0, "PATCH accounts/status", "late"),
        Event(BEGIN, "kubectl", "ada"),
        Event(BEGIN + draw.uniform(3.5, 4.5), draw.choice(("kubectl", "reserve")), "bob", other=0.5),
        Event(locked, "lockout", "", 0.0, 12.0 - locked),
    ]


def new(draw: random.Random) -> tuple[Setting, list[Event]]:
    """A deployment is made again while the leader stands still, and somebody asks for it before its finalizer is on."""
    setting = Setting(deployments=1, hooks=draw.choice(((), ("reset",))))
    events = []
    for at in _times(draw, 6.0, 34.0, 12.0):
        events += [Event(at, "replace", "cyd", 0.0), Event(at + draw.uniform(0.2, 0.29), "stop", "", 0.5, 2.5)]
        events += [Event(at + later, "launch", "bob", other=0.5) for later in (0.8, 1.3, 1.8)]
        events.append(Event(at + draw.uniform(4.0, 8.0), "end", "bob", 0.0, other=draw.random()))
    return setting, events


def told(draw: random.Random) -> tuple[Setting, list[Event]]:
    """The answer is lost that says that a status names Secrets: of a warm pod, or of an instance, which then lack."""
    asks = Event(draw.uniform(17.0, 24.0), draw.choice(("launch", "kubectl")), "ada", other=0.5)
    if draw.random() < 0.5:
        return Setting(deployments=1, warm=True), [Event(0.0, TRAP, "operator", 0.0, 1.0, 1.0, "warm", "lose"), asks]
    lost = Event(3.0, TRAP, "operator", 0.0, 1.0, 1.0, "PATCH instances/status", "lose")
    spoiled, evicted = Event(28.0, "spoil", "ada"), Event(28.0 + draw.uniform(0.0, 0.2), "node", "", 0.0, 1.0, 0.7)
    return Setting(deployments=1), [lost, replace(asks, at=BEGIN), spoiled, evicted]


def access(draw: random.Random) -> tuple[Setting, list[Event]]:
    """A rule forbids Bob the machine that Bob waits for; the operators hear first that it is free."""
    events = [
        Event(BEGIN, "launch", "ada", other=0.5),
        Event(6.0, draw.choice(("kubectl", "reserve")), "bob", other=0.5),
        Event(9.9, TRAP, "operator", 0.0, 3.0, 1.0, "give back", "late"),
        Event(10.0, "end", "ada", 0.0, other=draw.random()),
        *(Event(12.8, "gap", "", chance, 16.0, 0.2) for chance in (0.0, 0.3)),
        Event(13.0, "forbid", "ada", 0.3247, 8.0, 0.0, part="access"),
    ]
    return Setting(deployments=1, parts=("access",)), events


def judged(draw: random.Random) -> tuple[Setting, list[Event]]:
    """A leader stands still that has judged that Bob may have a machine; a rule forbids it, and Cyd has it."""
    freed = draw.uniform(8.0, 9.0)
    wakes = freed + draw.uniform(17.0, 22.0)
    forbids = Event(freed + 3.0, "forbid", "ada", 0.39, 8.0, 0.0, part="access")
    return Setting(deployments=1, quota=1, parts=("access",)), [
        Event(BEGIN, "launch", "ada", other=0.5),
        Event(BEGIN + 1.0, draw.choice(("kubectl", "reserve")), "bob", other=0.5),
        Event(freed - 0.1, TRAP, "operator", 0.0, wakes - freed, 1.0, "PATCH accounts/status", "pause before"),
        Event(freed, "end", "ada", 0.0, other=draw.random()),
        forbids,
        *(Event(freed + later, "launch", "cyd", other=0.5) for later in (4.0, 6.0)),
        Event(wakes - draw.uniform(2.0, 5.0), "end", "cyd", 0.0, other=draw.random()),
    ]


def spoilt(draw: random.Random) -> tuple[Setting, list[Event]]:
    """Somebody deletes the Secrets of a pod of which its node has not heard."""
    asks = draw.uniform(5.0, 12.0)
    silent = Event(asks - 0.5, "node", "", 0.0, draw.uniform(4.0, 7.0), 0.3)
    return Setting(deployments=1), [
        silent,
        Event(asks, draw.choice(("launch", "kubectl")), "ada", other=0.5),
        Event(asks + draw.uniform(2.0, 3.0), "spoil", "ada"),
    ]


def swept(draw: random.Random) -> tuple[Setting, list[Event]]:
    """A leader names Secrets of a warm pod that the next one, which stands still too, has cleared away."""
    length = TAKES_OVER + draw.uniform(1.0, 4.0)
    first = Event(0.0, TRAP, "operator", 0.0, length, 1.0, "warm", "pause before")
    return Setting(deployments=1, operators=2, warm=True), [first, replace(first, length=length - 2.0)]


def remade(draw: random.Random) -> tuple[Setting, list[Event]]:
    """A warm pod is thrown away and made again for the same epoch; a deletion of what it had comes later still."""
    locked = draw.uniform(4.0, 8.0)
    late = Event(3.0, TRAP, "operator", 0.0, draw.uniform(18.0, 24.0), 1.0, "DELETE networkpolicies", "late")
    asks = Event(locked + draw.uniform(14.0, 30.0), draw.choice(("launch", "kubectl")), "ada", other=0.5)
    return Setting(deployments=1, warm=True, exact=True), [late, Event(locked, "lockout", "", 0.0, 3.0), asks]


def unnamed(draw: random.Random) -> tuple[Setting, list[Event]]:
    """A warm pod is of no use for a moment; what removes it comes when somebody has the lease of its epoch."""
    locked, write = draw.uniform(6.0, 10.0), draw.choice(("unname", "DELETE pods"))
    late = Event(3.0, TRAP, "operator", 0.0, draw.uniform(8.0, 14.0), 1.0, write, "late")
    asks = Event(locked + draw.uniform(2.0, 5.0), draw.choice(("launch", "kubectl")), "ada", other=0.5)
    return Setting(deployments=1, warm=True), [late, Event(locked, "lockout", "", 0.0, 1.0), asks]


def builds(draw: random.Random) -> tuple[Setting, list[Event]]:
    """The Job with the script of a build, or a former leader's Secret for it, comes when the build has ended."""
    write, then = draw.choice((("script", "late"), ("script", "pause before"), ("script's Secret", "pause before")))
    events = [Event(BEGIN + draw.uniform(0.0, 2.0), "build", user, other=0.0, part="builds") for user in USERS]
    events.append(Event(3.0, TRAP, "operator", 0.0, draw.uniform(23.0, 31.0), 1.0, write, then))
    # The operators hear late of it, and clear nothing away until then.
    events += [Event(28.0, "gap", "", chance, 24.0, 0.2) for chance in (0.0, 0.3)]
    return Setting(deployments=draw.choice((0, 1)), parts=("builds",), slowness=0.2), events


def again(draw: random.Random) -> tuple[Setting, list[Event]]:
    """A leader stands still when it has ended a build, and goes on when the next attempt at that runs."""
    given_up = BEGIN + draw.uniform(0.5, 3.0)
    events = [
        Event(BEGIN, "build", "ada", other=0.0, part="builds"),
        Event(given_up - 0.01, TRAP, "operator", 0.0, draw.uniform(10.0, 15.0), 1.0, "PATCH builds/status", "pause"),
        Event(given_up, "build_cancel", "ada", other=0.0, part="builds"),
        Event(given_up + draw.uniform(0.5, 4.0), "build_again", "ada", other=0.0, part="builds"),
    ]
    return Setting(deployments=draw.choice((0, 1)), parts=("builds",), base=draw.choice((0.004, 0.02))), events


def unread(draw: random.Random) -> tuple[Setting, list[Event]]:
    """A pod of a build ends, and goes with its node, while nobody leads: nobody has read what it came to."""
    stops = BEGIN + draw.uniform(0.2, 4.0)
    events = [
        Event(2.0, "kubectl", "bob"),
        Event(BEGIN, "build", "ada", other=0.0, part="builds"),
        Event(stops, "stop", "", 0.5, draw.uniform(9.0, 14.0)),
        Event(stops + draw.uniform(0.5, 3.0), "node", "", 0.999, 5.0, 0.55),
    ]
    return Setting(deployments=2, parts=("builds",), slowness=0.2), events


def unanswered(draw: random.Random) -> tuple[Setting, list[Event]]:
    """A rule is made and taken away again while pushes to the agent, and its answers, come late."""
    at, number = draw.uniform(7.0, 12.0), draw.uniform(0.0, 0.39)
    made, length = at + draw.uniform(0.1, 1.0), draw.uniform(6.0, 12.0)
    taken = made + draw.uniform(0.5, 5.0)
    return Setting(deployments=1), [
        Event(BEGIN, "kubectl", "ada"),
        Event(at, "held", "", 0.5, length, 0.5),
        *(Event(then, "rule", "ada", 0.0, other=number) for then in (made, taken)),
    ]


def enforced(draw: random.Random) -> tuple[Setting, list[Event]]:
    """A rule is made, and perhaps taken away, when a write of its NetworkPolicy is refused or its answer is lost."""
    made, number = draw.uniform(7.0, 12.0), draw.uniform(0.0, 0.39)
    times = (made, made + draw.uniform(0.3, 12.0))[: draw.choice((1, 2))]
    return Setting(deployments=1, exact=True), [
        Event(BEGIN, "kubectl", "ada"),
        Event(made - 0.1, TRAP, "operator", 0.0, 1.0, 1.0, "PATCH networkpolicies", draw.choice(("deny", "lose"))),
        *(Event(then, "rule", "ada", 0.0, other=number) for then in times),
    ]


def tunnels(draw: random.Random) -> tuple[Setting, list[Event]]:
    """Clients of a VPN are added, and revoked while it goes on."""
    events = [Event(BEGIN, "vpn_launch", "ada", 0.5, other=0.3, part="tunnels")]
    for what, times in (("vpn_add", (12.0, 15.0, 18.0)), ("vpn_revoke", (25.0, 30.0))):
        for at in times:
            events.append(Event(at, what, "ada", draw.random(), 1.0, draw.choice((0.3, 0.8)), part="tunnels"))
    if draw.random() < 0.5:  # the profile of the first that is revoked cannot be deleted at once
        events.append(Event(24.0, TRAP, "operator", 0.0, 1.0, 1.0, "DELETE secrets", "deny"))
    return Setting(deployments=1, parts=("tunnels",)), events


def _late_writes(draw: random.Random, over: float) -> list[Event]:
    """Secrets of one leader and the pod of the next arrive when a third has ended the lease, and nobody clears them."""
    events = _nobody_clears(over)
    for write, met, arrives in (
        ("POST secrets", BEGIN, over - draw.uniform(0.5, 1.5)),
        ("POST pods", BEGIN + TAKES_OVER, over - draw.uniform(0.0, 0.5)),
    ):
        length = over + 5.0 - met
        part = (arrives - met) / length
        events.append(Event(3.0, TRAP, "operator", 0.0, length, part, write, "pause before"))
    return events


def _nobody_clears(over: float) -> list[Event]:
    """Pause the machines of all operators that go on: some former leader still takes itself for the leader."""
    return [Event(over - 2.0, "vm", "", chance, 6.0, 0.9) for chance in (0.1, 0.5, 0.9)]


def _traps(
    draw: random.Random,
    whom: str,
    at: float,
    writes: dict[str, int],
    lengths: Sequence[float],
    ends: dict[str, int] = LEADERS_END,
) -> list[Event]:
    """Lay one after the other. Each write is mostly the first of its kind; it may arrive before its process goes on."""
    return [
        Event(
            at,
            TRAP,
            whom,
            draw.choice((0.0, 0.0, 0.5)),
            length,
            draw.choice((1.0, draw.uniform(0.6, 1.0))),
            _drawn(draw, writes),
            _drawn(draw, ends),
        )
        for length in lengths
    ]


def _insists(draw: random.Random, user: str, first: float, last: float) -> list[Event]:
    """Somebody waits for a machine, or asks for it again and again."""
    if draw.random() < 0.4:
        return [Event(first, draw.choice(("queue", "reserve", "kubectl")), user, other=0.5)]
    return [Event(at, "launch", user, other=0.5) for at in _times(draw, first, last, 2.0)]


def _times(draw: random.Random, first: float, last: float, mean: float) -> list[float]:
    times = [first + draw.uniform(0.0, mean)]
    while times[-1] < last:
        times.append(times[-1] + draw.uniform(0.5, 1.5) * mean)
    return times[:-1]


def _drawn(draw: random.Random, weights: dict[str, int]) -> str:
    return draw.choices(list(weights), list(weights.values()))[0]


SCRIPTS: Final[dict[str, Script]] = {
    "terms": terms,
    **{f"terms-{part}": partial(terms, part=part) for part in TERMS},
    "calls": calls,
    "calls-made": partial(calls, part="made"),
    "queue": queue,
    "queue-refused": partial(queue, part="refused"),
    "machines": machines,
    "gone": gone,
    "free": free,
    "new": new,
    "told": told,
    "access": access,
    "judged": judged,
    "spoilt": spoilt,
    "swept": swept,
    "remade": remade,
    "unnamed": unnamed,
    "builds": builds,
    "again": again,
    "unread": unread,
    "unanswered": unanswered,
    "enforced": enforced,
    "tunnels": tunnels,
    "each": each,
    "refused": refused,
}


def _any(draw: random.Random, of: Sequence[Script] = tuple(SCRIPTS.values())) -> tuple[Setting, list[Event]]:
    return draw.choice(of)(draw)


SCRIPTS["any"] = _any


def scripted(which: str, seed: str) -> Plan:
    """Return the plan of one history of a script."""
    setting, events = SCRIPTS[which](random.Random(f"{seed} plan"))
    return Plan(seed, setting, tuple(sorted(events, key=lambda event: event.at)))
