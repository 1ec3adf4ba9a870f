"""Histories in which the leader's machine is paused between a user's slot and the lease, until the slot is dropped.

Meanwhile the user takes another lease. No clock of the paused machine has noticed anything. A lease beyond the quota
is given back, also where the write that begins to use it is under way.
"""

import random
from typing import Final

from berth_api.idempotency.replay import DEAD_SECONDS
from berth_core.kube.types import Kind, Object
from berth_core.leases.slots import KEPT_SECONDS
from berth_operator.kinds import DEPLOYMENTS, INSTANCES, RESERVATIONS

from .actions import lock_out
from .cluster import LAB
from .faults import Faults
from .judgement import at_peace
from .plan import TRAP, Event
from .stage import Setting, Stage
from .users import Users
from .wire import Request

PAUSE_SECONDS: Final = KEPT_SECONDS + 20.0
"""Somebody else leads after 7 s, and looks for slots every 5 s."""


def play(seed: str) -> Stage:
    """Play one of the courses."""
    draw = random.Random(f"{seed} setting")
    return draw.choice((_asks_meanwhile, _asks_meanwhile, _two_unused, _marked_meanwhile))(seed, draw)


def _asks_meanwhile(seed: str, draw: random.Random) -> Stage:
    """Ada waits with a Reservation or an Instance, and asks over HTTP when her slot is gone. Bob waits too."""
    stage = Stage(seed, Setting(deployments=2, quota=draw.choice((1, 1, None)), warm=draw.random() < 0.3))
    world, users, faults = stage.world, Users(stage), Faults(stage)
    paused, other = stage.operator(), stage.operator()
    stage.api()
    world.run(3.0)
    paused, other = (paused, other) if paused.leads else (other, paused)
    arrives = draw.choice((0.0, PAUSE_SECONDS + 0.001))

    def hold(request: Request) -> float:
        if request.method != "PATCH" or not ((request.body or {}).get("status") or {}).get("lease"):
            return 0.0
        paused.network.troubles.holds = []
        faults.freeze(paused.loop, PAUSE_SECONDS, machine=True)
        for machine in stage.machines:
            lock_out(stage, machine, PAUSE_SECONDS - 3.0)
        # Nobody leads when machines can be had again, so that Ada's own request is faster than her turn.
        world.at(PAUSE_SECONDS - 4.0, lambda: faults.freeze(other.loop, 4.0 + draw.uniform(0.0, 1.0), machine=False))
        world.at(PAUSE_SECONDS - 2.0, lambda: users.launch("ada", reserve=False, expire=None, again=False))
        return arrives

    paused.network.troubles.holds = [hold]
    waits = stage.instance if draw.random() < 0.5 else stage.reservation
    waits("ada")
    world.at(PAUSE_SECONDS + 5.0, lambda: stage.instance("bob"))
    world.run(3.0 + PAUSE_SECONDS + 60.0)
    at_peace(stage)
    for name in users.instances.get("ada", ()):
        users.end("ada", name)
    world.run(world.now + 30.0)
    if not stage.oracle.used:
        stage.cluster.violated("I4: a lease of a former leader did not come into use when there was room")
    world.over = True
    return stage


def _two_unused(seed: str, draw: random.Random) -> Stage:
    """Ada waits for either machine, and both are taken for her, each by a leader that stood still before its use."""
    stage = Stage(seed, Setting(deployments=2, quota=1, warm=draw.random() < 0.3))
    world, faults = stage.world, Faults(stage)
    paused, other = stage.operator(), stage.operator()
    world.run(3.0)
    paused, other = (paused, other) if paused.leads else (other, paused)
    one, two = stage.machines

    def is_taking(request: Request) -> bool:
        return request.method == "PATCH" and bool(((request.body or {}).get("status") or {}).get("lease"))

    def pause(request: Request) -> float:
        if not is_taking(request):
            return 0.0
        paused.network.troubles.holds = []
        faults.freeze(paused.loop, PAUSE_SECONDS, machine=True)
        lock_out(stage, one, PAUSE_SECONDS - 1.0)
        lock_out(stage, two, PAUSE_SECONDS - 3.0)
        return PAUSE_SECONDS + 0.001

    def stop(request: Request) -> float:
        if is_taking(request):
            other.network.troubles.holds = []
            faults.freeze(other.loop, draw.uniform(5.0, 12.0), machine=draw.random() < 0.5)
        return 0.0

    paused.network.troubles.holds, other.network.troubles.holds = [pause], [stop]
    _waits_for(stage, one, draw)
    world.at(PAUSE_SECONDS - 10.0, lambda: _waits_for(stage, two, draw))
    world.at(PAUSE_SECONDS + 5.0, lambda: stage.instance("bob"))
    world.run(3.0 + PAUSE_SECONDS + 90.0)
    at_peace(stage)
    if len(stage.oracle.used) != len(stage.machines):
        stage.cluster.violated("I4: a machine is used by nobody, though Ada and Bob wait")
    world.over = True
    return stage


def play_marked(seed: str) -> Stage:
    """Play the last of the courses alone."""
    return _marked_meanwhile(seed, random.Random(f"{seed} setting"))


def play_dead(seed: str) -> Stage:
    """Play one in which an API process's machine stands still at a write until its request counts as dead.

    Its client repeats the request when that is nearly so, and once more later. Another machine could be had.
    """
    draw = random.Random(f"{seed} setting")
    setting = Setting(deployments=2, quota=draw.choice((None, None, 1)), warm=draw.random() < 0.3, slow=0.05)
    stage = Stage(seed, setting)
    world, users, faults = stage.world, Users(stage), Faults(stage)
    stage.operator()
    stage.api()
    write, then = draw.choice(("take", "POST secrets")), draw.choice(("pause before", "pause before", "pause"))
    arrives = draw.choice((1.0, draw.uniform(0.6, 1.0)))
    faults.strike(Event(0.0, TRAP, "api", 0.0, DEAD_SECONDS + draw.uniform(5.0, 15.0), arrives, write, then))
    world.run(3.0)
    users.launch("ada", reserve=False, expire=None)
    world.at(0.5, stage.api)
    for later in (DEAD_SECONDS + 2.0, DEAD_SECONDS + 40.0):
        world.at(later, lambda: users.again("ada"))
    world.run(DEAD_SECONDS + 110.0)
    at_peace(stage)
    world.over = True
    return stage


def _waits_for(stage: Stage, machine: str, draw: random.Random) -> None:
    """Have Ada wait for a machine, with an Instance or a Reservation."""
    wanted = {"user": "ada", "deployments": [machine]}
    name = f"ada-{machine}"
    if draw.random() < 0.5:
        stage.made(INSTANCES, name, wanted)
    else:
        stage.made(RESERVATIONS, name, wanted | {"instance": wanted | {"sshKeys": ["ssh-ed25519 AAAA r"]}})


def _marked_meanwhile(seed: str, draw: random.Random) -> Stage:
    """The write that begins to use a lease comes late: another operator has marked the lease, and may have returned it.

    The other's writes are played, so that they come where no pass of it would put them.
    """
    stage = Stage(seed, Setting(deployments=2))
    world, late = stage.world, stage.operator()
    world.run(3.0)
    reserves, returns, marks_another = (draw.random() < 0.5 for _ in range(3))
    waiter = stage.reservation("ada") if reserves else stage.instance("ada")
    kind, marked = (RESERVATIONS if reserves else INSTANCES), list[tuple[str, int]]()

    def write(of: Kind, name: str, status: Object) -> None:
        stage.cluster.write("PATCH", of, name, body={"status": status}, subresource="status", sender="operator-9")

    def meanwhile(deployment: str, epoch: int) -> None:
        status = (stage.cluster.store.find(kind.plural, LAB, waiter) or {}).get("status") or {}
        if status.get("grant") or status.get("epoch"):
            return  # another pass of the same process was faster: who looks now marks nothing
        marked.append((deployment, epoch))
        write(kind, waiter, {"returned": {"deployment": deployment, "epoch": epoch}})
        if returns:
            write(DEPLOYMENTS, deployment, {"lease": None})
            if marks_another:
                write(kind, waiter, {"returned": {"deployment": deployment, "epoch": epoch + 100}})

    def hold(request: Request) -> float:
        status = (request.body or {}).get("status") or {}
        used = status.get("grant") if reserves else status if status.get("deployment") else None
        if request.method != "PATCH" or used is None:
            return 0.0
        late.network.troubles.holds = []
        world.at(0.5, lambda: meanwhile(used["deployment"], used["epoch"]))
        return 1.0

    late.network.troubles.holds = [hold]
    world.run(70.0)
    at_peace(stage)
    if len(stage.oracle.used) != 1 or set(marked) & set(stage.oracle.used.values()):
        stage.cluster.violated("I4: one whose lease went back was not served anew")
    world.over = True
    return stage
