"""Traps: a script names a write, and the process that sends the next such write is met by a fault right there.

The write itself arrives at once, or late, when its process may be gone or somebody else may lead.
"""

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from berth_core import names

from .api import Api
from .loops import Loop
from .operator import Operator
from .plan import Event
from .stage import Stage
from .wire import Request

BEFORE: Final = " before"
"""Ends the name of a fault that meets the process before its write arrives."""
NUMBER: Final = "#"
"""Begins the number of a write, of whatever kind, at which a trap springs."""


class Struck(Protocol):
    """The part of :class:`tests.sim.faults.Faults` that a trap needs."""

    def freeze(self, loop: Loop, seconds: float, *, machine: bool) -> None:
        """Stop a process, or its machine, for a while."""

    def undo_after(self, seconds: float, undo: Callable[[], object]) -> None:
        """Have something undone after some time, or when all heals."""


class Traps:
    """Traps of one history, in the order in which they spring."""

    def __init__(self, stage: Stage, faults: Struck) -> None:
        self._stage = stage
        self._faults = faults
        self._set: list[Event] = []
        self._arrivals: dict[str, tuple[str, float]] = {}
        """Of what a process sends in the step in which it was met: the same kind of write, and when it arrives."""
        self._counted = 0
        """Writes while a trap waits that names its number."""
        stage.started.append(self._watch)

    def lay(self, event: Event) -> None:
        """Lay one for operators, or for API processes (``event.user``)."""
        self._set.append(event)

    def _watch(self, process: Operator | Api) -> None:
        """Look at what a process sends that has just begun."""
        process.network.troubles.holds.append(partial(self._hold, process))

    def clear(self) -> None:
        """Take away what has not sprung."""
        self._set.clear()

    def _hold(self, process: Operator | Api, request: Request) -> float:
        """Seconds by which a request comes later."""
        if not self._set and not self._arrivals:
            return 0.0
        write = write_of(request)
        if process.loop.frozen:
            same, arrival = self._arrivals.get(process.name, ("", 0.0))
            return max(0.0, arrival - self._stage.world.now) if write == same else 0.0
        kind = "operator" if isinstance(process, Operator) else "api"
        trap = next((event for event in self._set if event.user == kind), None)
        if trap is None or not self._is_at(trap, request, write) or self._stage.world.random.random() < trap.chance:
            return 0.0
        self._set.remove(trap)
        return self._spring(trap, process, request, write)

    def _is_at(self, trap: Event, request: Request, write: str) -> bool:
        if not trap.write.startswith(NUMBER):
            return write == trap.write
        if request.method == "GET" or write.endswith("leases"):  # renewals of the leader are no work
            return False
        self._counted += 1
        return self._counted == int(trap.write.removeprefix(NUMBER))

    def _spring(self, trap: Event, process: Operator | Api, request: Request, write: str) -> float:
        stage, troubles, length = self._stage, process.network.troubles, trap.length
        stage.cluster.say(process.name, f"MET ({trap.then})", write, f"{length:.1f} s")
        fault = trap.then.removesuffix(BEFORE)
        match fault:
            case "pause" | "stop":
                self._faults.freeze(process.loop, length, machine=fault == "pause")
            case "kill":
                process.loop.frozen += 1
                stage.world.at(0.0, lambda: stage.kill(process))
                again = stage.operator if isinstance(process, Operator) else stage.api
                stage.world.at(1.0 + trap.other * 3, again)
            case "lose":
                troubles.lose_answer, before = 1.0, troubles.lose_answer
                stage.world.at(0.0, lambda: setattr(troubles, "lose_answer", before))
            case "refuse":
                troubles.unread_roles = True
                self._faults.undo_after(length, lambda: setattr(troubles, "unread_roles", False))
            case "deny":
                troubles.denies = lambda other: 403 if other is request else 0
        if fault != "late" and fault == trap.then:
            return 0.0
        late = length * trap.other + 0.001
        self._arrivals[process.name] = write, stage.world.now + late
        return late


def write_of(request: Request) -> str:
    """Return the kind of a request: ``take`` or ``give back`` of a lease, or such as ``POST pods``.

    ``warm`` is the write that names the Secrets of a pod which is kept warm, ``unname`` the one that names none any
    more; ``script`` makes the Job of a build's
    script, and ``script's Secret`` the Secret without which that does not start.
    """
    parts = request.path.partition("/namespaces/")[2].split("/")
    plural, sub = parts[1] if len(parts) > 1 else "", f"/{parts[3]}" if len(parts) > 3 else ""
    status = (request.body or {}).get("status") or {}
    if plural == "workspacedeployments" and "lease" in status:
        return "take" if status["lease"] else "give back"
    if plural == "workspacedeployments" and status.get("warm"):
        return "warm"
    if plural == "workspacedeployments" and "warm" in status:
        return "unname"
    labels = ((request.body or {}).get("metadata") or {}).get("labels") or {}
    if request.method == "POST" and names.BUILD_LABEL in labels:
        if labels.get(names.STEP_LABEL) == names.RUN_STEP:
            return "script"
        if plural == "secrets" and not (request.body or {}).get("data"):
            return "script's Secret"
    return f"{request.method} {plural}{sub}"
