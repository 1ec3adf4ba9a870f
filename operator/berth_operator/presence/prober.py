"""Probes machines for as long as this process leads.

Concurrency model: each deployment's pass says whether its machine is to be probed (:meth:`Prober.attend`). A machine
that is has one timer or waits for one of a fixed number of workers, and no key in the work queue. So the passes never
wait for machines. A pass is asked for when an outcome changes the verdict: at most one for each probe.
"""

import asyncio
import random
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

import structlog

from berth_core.kube.conditions import find
from berth_core.machines.reach import Networks, why_refused
from berth_core.resources import WorkspaceDeployment
from berth_core.resources.workspacedeployment import Health
from berth_operator.engine.world import TermState, World
from berth_operator.kinds import DEPLOYMENT
from berth_operator.presence.decide import AWAITED, Outcome, Presence, Tally, counted
from berth_operator.presence.probe import ask
from berth_operator.presence.target import Problem, Target, target_of
from berth_operator.presence.view import REACHABLE
from berth_operator.settings.config import Config

log = structlog.get_logger(__name__)

WORKERS: Final = 64
"""Probes at once. Machines that answer take some milliseconds, so that they serve thousands."""
ANSWER_SECONDS: Final = 3.0
"""Longest probe; shorter where the next one comes sooner."""

_Key = tuple[str, str]


@dataclass(eq=False)
class _Machine:
    """A machine that is probed."""

    key: _Key
    health: Health
    target: Target
    tally: Tally = field(default_factory=Tally)
    timer: asyncio.TimerHandle | None = None
    attempt: asyncio.Future[Outcome | None] | None = None
    stopped: bool = False

    def stop(self) -> None:
        """End what runs for it: its holder may need the one connection that its controller has."""
        self.stopped = True
        if self.timer is not None:
            self.timer.cancel()
        if self.attempt is not None:
            self.attempt.cancel()


@dataclass
class Prober(TermState):
    """All machines that are probed, by namespace and name."""

    _machines: dict[_Key, _Machine] = field(default_factory=dict)
    _due: asyncio.Queue[_Machine] = field(default_factory=asyncio.Queue)
    _began: float | None = None
    """When the first was attended to, on the loop's clock."""

    def attend(self, wd: WorkspaceDeployment, networks: Networks) -> Presence | None:
        """Begin, go on or stop to probe a deployment's machine; what is known of it, None where nobody asks for it."""
        key, target, health = (wd.metadata.namespace, wd.metadata.name), target_of(wd, networks), wd.spec.health
        machine = self._machines.get(key)
        if health is None or target is None:
            self.forget(*key)
            return None
        if isinstance(target, Problem) or _rests(wd, health):
            self.forget(*key)
            return Presence(health, target)
        if machine is not None and (machine.health, machine.target) != (health, target):
            self.forget(*key)
            machine = None
        if machine is None:
            machine = self._machines[key] = _Machine(key, health, target)
            self._schedule(machine, self._first_delay(wd, health))
        return Presence(health, target, machine.tally)

    def forget(self, namespace: str, name: str) -> None:
        """Stop to probe a deployment's machine."""
        if (machine := self._machines.pop((namespace, name), None)) is not None:
            machine.stop()

    def clear(self) -> None:
        """Drop everything: another process leads."""
        for key in list(self._machines):
            self.forget(*key)
        self._due, self._began = asyncio.Queue(), None

    async def work(self, world: World) -> None:
        """Probe what is due, one machine at a time, until cancelled."""
        due = self._due
        while True:
            machine = await due.get()
            if not machine.stopped:
                await self._probe(world, machine)

    async def _probe(self, world: World, machine: _Machine) -> None:
        # The cluster's networks may have grown since the pass that chose the target.
        if why_refused(ip_address(machine.target.host), networks_of(world.config)):
            self.forget(*machine.key)
            world.add(DEPLOYMENT, *machine.key)
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        seconds = min(ANSWER_SECONDS, float(machine.health.every))
        machine.attempt = asyncio.ensure_future(ask(machine.target, seconds))
        try:
            await asyncio.wait([machine.attempt])
        finally:
            machine.attempt.cancel()
        if machine.stopped or machine.attempt.cancelled():
            return
        before, machine.tally = machine.tally, counted(machine.tally, _outcome(machine), machine.health.failures)
        if machine.tally.reachable is not before.reachable:
            world.add(DEPLOYMENT, *machine.key)
        self._schedule(machine, began + machine.health.every - loop.time())

    def _schedule(self, machine: _Machine, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        machine.timer = loop.call_later(max(seconds, 0.0), self._due.put_nowait, machine)

    def _first_delay(self, wd: WorkspaceDeployment, health: Health) -> float:
        """Seconds until the first probe: at once, but for those of which a former leader knew.

        These come as many at once, and are spread over the time in which that leader would have probed them.
        """
        now = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = now
        known = find(wd.status.conditions, REACHABLE)
        if known is None or known.reason == AWAITED:
            return 0.0
        return random.uniform(0.0, max(health.every - (now - self._began), 0.0))  # noqa: S311 (jitter)


async def run(world: World) -> None:
    """Probe while this process leads."""
    prober = world.state(Prober)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(WORKERS):
            tasks.create_task(prober.work(world))


def networks_of(config: Config) -> Networks:
    """Networks that decide where probes go, as far as they are known now."""
    return Networks(config.machines, (*config.blocked, *config.own_networks))


def _rests(wd: WorkspaceDeployment, health: Health) -> bool:
    """Whether a machine is not probed for the time being, or never again."""
    leased = wd.status.lease is not None and not health.during_lease
    return leased or wd.spec.dissolved is not None or wd.metadata.deletion_timestamp is not None


def _outcome(machine: _Machine) -> Outcome | None:
    """Outcome of the attempt that has ended. An error of our own says nothing of the machine."""
    attempt = machine.attempt
    error = attempt.exception() if attempt is not None else None
    if error is not None:  # the boundary of the prober: one probe fails, the others go on
        log.error("probe failed", namespace=machine.key[0], name=machine.key[1], exc_info=error)
        return None
    return attempt.result() if attempt is not None else None
