"""Faults: each class of them, carried out on the stage, and how everything heals."""

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from berth_operator.kinds import NODES

from .api import Api
from .cluster import add_node, node_of, say_ready
from .loops import Loop
from .network import Troubles
from .operator import Operator
from .plan import Event
from .refused import LEFT_OUT, WRITES, Forbidden
from .stage import Stage
from .traps import Traps, write_of
from .wire import Request

NOTICED_SECONDS: Final = 8.0
"""After so long a silent node is not Ready (a real cluster takes 40 s)."""
HELD_CHANCE: Final = 0.01
SKEWS: Final = (-40.0, -31.0, -4.0, 4.0, 40.0)


P = TypeVar("P", Operator, Api, Operator | Api)


class Faults:
    """Faults of one history, and what has to be healed in the end."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._traps = Traps(stage, self)
        self._undo: dict[int, Callable[[], object]] = {}
        self._numbers = 0
        self.forbidden: Forbidden | None = None

    def strike(self, event: Event) -> None:
        """Carry out one fault."""
        stage = self._stage
        stage.cluster.say("FAULT", event.what, "", f"{event.length:.1f} s")
        getattr(self, f"_{event.what}")(event)

    def heal(self) -> None:
        """End everything that is wrong."""
        self._traps.clear()
        for undo in list(self._undo.values()):
            undo()
        self._stage.cluster.say("FAULT", "all heals")

    def undo_after(self, seconds: float, undo: Callable[[], object]) -> None:
        """Have something undone after some time, or when all heals."""
        self._numbers += 1
        number = self._numbers

        def once() -> None:
            if self._undo.pop(number, None) is not None:
                undo()

        self._undo[number] = once
        self._stage.world.at(seconds, once)

    # ---- whom it meets

    def _operator(self, event: Event) -> Operator | None:
        """The leader mostly."""
        leader = self._stage.leader()
        if leader is not None and event.other < 0.85:
            return leader
        return self._one(self._stage.operators, event)

    @staticmethod
    def _one(processes: list[P], event: Event) -> P | None:
        return processes[int(event.chance * len(processes))] if processes else None

    # ---- processes

    def freeze(self, loop: Loop, seconds: float, *, machine: bool) -> None:
        """Stop a process; where it is the machine, its own clocks stand still, and its wall clock is set later."""
        world, since = self._stage.world, self._stage.world.now
        loop.frozen += 1

        def thaw() -> None:
            loop.frozen -= 1
            self._stage.cluster.say(loop.name, "goes on")
            if machine:
                missed = world.now - since
                loop.missed += missed
                loop.skew -= missed
                self.undo_after(5.0 * world.random.random(), lambda: setattr(loop, "skew", loop.skew + missed))

        self._stage.cluster.say(loop.name, "is paused" if machine else "is stopped")
        self.undo_after(seconds, thaw)

    def _stop(self, event: Event) -> None:
        if (operator := self._operator(event)) is not None and not operator.loop.frozen:
            self.freeze(operator.loop, event.length, machine=False)

    def _vm(self, event: Event) -> None:
        if (operator := self._operator(event)) is not None and not operator.loop.frozen:
            self.freeze(operator.loop, event.length, machine=True)

    def _kill(self, event: Event) -> None:
        if (operator := self._operator(event)) is not None:
            self._stage.kill(operator)
            self._stage.world.at(0.5 + event.other * 3, self._stage.operator)

    def _apistop(self, event: Event) -> None:
        api = self._one(self._stage.apis, event)
        if api is not None and not api.loop.frozen:
            self.freeze(api.loop, event.length, machine=event.other < 0.3)

    def _apikill(self, event: Event) -> None:
        api = self._one(self._stage.apis, event)
        if api is not None:
            self._stage.kill(api)
            self._stage.world.at(0.5 + event.other * 3, self._stage.api)

    def _stopw(self, event: Event) -> None:
        self._at_a_write(event, machine=False)

    def _vmw(self, event: Event) -> None:
        self._at_a_write(event, machine=True)

    def _at_a_write(self, event: Event, *, machine: bool) -> None:
        """Stop the operator when it sends a write of some kind; that arrives at once, or when the process goes on."""
        operator = self._operator(event)
        if operator is None or operator.loop.frozen:
            return
        draw, troubles = self._stage.world.random, operator.network.troubles
        length = max(event.length, 7.5)

        def hold(request: Request) -> float:
            if request.method == "GET" or "/leases/" in request.path or draw.random() > 0.15:
                return 0.0
            troubles.holds.remove(hold)
            self.freeze(operator.loop, length, machine=machine)
            return draw.choice((0.0, length + 0.001))

        self._hold(troubles, hold, 15.0)

    def _hold(self, troubles: Troubles, hold: Callable[[Request], float], seconds: float) -> None:
        troubles.holds.append(hold)
        self.undo_after(seconds, lambda: troubles.holds.remove(hold) if hold in troubles.holds else None)

    def _trap(self, event: Event) -> None:
        self._traps.lay(event)

    # ---- messages

    def _cut(self, event: Event) -> None:
        operator = self._operator(event)
        if operator is None:
            return
        which = [operator.network.troubles, operator.to_agents.troubles]
        which = which if event.chance < 0.4 else which[:1] if event.chance < 0.8 else which[1:]
        for troubles in which:
            troubles.cut = True
            self.undo_after(event.length, partial(setattr, troubles, "cut", False))

    def _held(self, event: Event) -> None:
        """Some writes of a process come 3 to 60 s late."""
        process = self._operator(event) if event.chance < 0.6 else self._one(self._stage.apis, event)
        if process is None:
            return
        draw, troubles = self._stage.world.random, process.network.troubles

        def hold(request: Request) -> float:
            held = request.method != "GET" and draw.random() < 0.05
            return draw.uniform(3.0, 60.0) if held else 0.0

        self._hold(troubles, hold, event.length)
        if isinstance(process, Operator):
            pushes = process.to_agents.troubles
            pushes.hold_watches = event.length / 2
            self.undo_after(event.length, lambda: setattr(pushes, "hold_watches", 0.0))

    def _lose(self, event: Event) -> None:
        ways = [process.network for process in self._everybody()]
        for way in [*ways, *(operator.to_agents for operator in self._stage.operators)]:
            way.troubles.lose_request = way.troubles.lose_answer = 0.03
            self.undo_after(event.length, partial(_lose_nothing, way.troubles))

    def _refuse(self, event: Event) -> None:
        """The API server is busy, or was restarted and has not read its roles yet."""
        for process in self._everybody():
            troubles = process.network.troubles
            if event.chance < 0.5:
                troubles.refuse = 0.2
                self.undo_after(event.length, partial(setattr, troubles, "refuse", 0.0))
            else:
                troubles.unread_roles = True
                self.undo_after(event.other * 2, partial(setattr, troubles, "unread_roles", False))

    def _policy(self, event: Event) -> None:
        """A policy refuses one kind of the operators' writes, until all heals."""
        world, forbidden = self._stage.world, Forbidden(event.write, 403 if event.chance < 0.5 else 422)
        self.forbidden, self._stage.cluster.forbidden = forbidden, True

        def denies(request: Request) -> int:
            write = write_of(request)
            if request.method != "GET" and write not in (*WRITES, *LEFT_OUT):
                self._stage.cluster.violated(f"refused: {write} is not among the writes that are tried")
            if forbidden.over or write != forbidden.write:
                return 0
            forbidden.refused.append(world.now)
            return forbidden.status

        def meet(process: Operator | Api) -> None:
            if isinstance(process, Operator):
                process.network.troubles.denies = denies

        for process in self._stage.operators:
            meet(process)
        self._stage.started.append(meet)
        self.undo_after(float("inf"), lambda: setattr(forbidden, "over", True))

    def _gap(self, event: Event) -> None:
        """News come late, or watches break and what they would go on from is compacted."""
        process = self._one(self._everybody(), event)
        if process is None:
            return
        troubles = process.network.troubles
        if event.other < 0.5:
            troubles.hold_watches = event.length / 2
            self.undo_after(event.length, lambda: setattr(troubles, "hold_watches", 0.0))
            return
        troubles.cut = True

        def mend() -> None:
            troubles.cut = False
            self._stage.cluster.store.compact(self._stage.cluster.store.version)

        self.undo_after(min(event.length, 6.0), mend)

    def _everybody(self) -> list[Operator | Api]:
        return [*self._stage.operators, *self._stage.apis]

    # ---- clocks and nodes

    def _skew(self, event: Event) -> None:
        """The wall clock of an API process, sometimes of an operator, is set wrong, and right again."""
        process = self._one(self._stage.apis, event) if event.other < 0.8 else self._operator(event)
        if process is None:
            return
        loop, skew = process.loop, SKEWS[int(event.other * 97) % len(SKEWS)]
        loop.skew += skew
        self.undo_after(event.length * 2, lambda: setattr(loop, "skew", loop.skew - skew))

    def _node(self, event: Event) -> None:
        """A node is silent, is removed with its machine, or loses a pod."""
        stage = self._stage
        machine = stage.places[int(event.chance * len(stage.places))]
        pods = list(stage.nodes.on(machine))
        if event.other < 0.5:
            self._silence(machine, event.length)
        elif event.other < 0.6:
            self._remove(machine, event.length)
        elif pods and event.other < 0.8:
            stage.nodes.lose(pods[0].uid)
        elif pods:
            stage.nodes.restart(pods[0].uid)

    def _silence(self, machine: str, seconds: float) -> None:
        stage = self._stage
        if machine in stage.nodes.silent:
            return
        stage.nodes.silent.add(machine)

        def notice() -> None:
            if machine in stage.nodes.silent:
                say_ready(stage.cluster, machine, "Unknown")

        def speak() -> None:
            stage.nodes.silent.discard(machine)
            say_ready(stage.cluster, machine, "True")

        stage.world.at(NOTICED_SECONDS, notice)
        self.undo_after(seconds, speak)

    def _remove(self, machine: str, seconds: float) -> None:
        """The machine is off and its Node is deleted; the pod collector then says that its pods have failed."""
        stage = self._stage
        if machine in stage.nodes.silent or stage.cluster.store.find("nodes", None, node_of(machine)) is None:
            return
        stage.nodes.shut_down(machine)
        stage.cluster.write("DELETE", NODES, node_of(machine), sender="admin")
        stage.world.at(3.0, lambda: stage.nodes.collect_pods(machine))
        self.undo_after(max(seconds, 4.0), lambda: add_node(stage.cluster, machine, "192.0.2.9"))


def _lose_nothing(troubles: Troubles) -> None:
    troubles.lose_request = troubles.lose_answer = 0.0
