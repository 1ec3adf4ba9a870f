"""One kind of the operators' writes is refused for good: all that needs it ends, or says what stands in the way."""

from dataclasses import dataclass, field
from typing import Any, Final

from .cluster import LAB
from .network import DENIED
from .stage import Stage

WRITES: Final = (
    "DELETE configmaps",
    "DELETE firewallrules",
    "DELETE jobs",
    "DELETE networkpolicies",
    "DELETE pods",
    "DELETE secrets",
    "DELETE services",
    "DELETE vpnclients",
    "PATCH accounts/status",
    "PATCH builds/status",
    "PATCH configmaps",
    "PATCH firewallrules",
    "PATCH firewallrules/status",
    "PATCH instances",
    "PATCH instances/status",
    "PATCH networkpolicies",
    "PATCH pods",
    "PATCH reservations/status",
    "PATCH services",
    "PATCH vpnclients/status",
    "PATCH workspacedeployments",
    "PATCH workspacedeployments/status",
    "POST accounts",
    "POST configmaps",
    "POST firewallrules",
    "POST instances",
    "POST jobs",
    "POST networkpolicies",
    "POST pods",
    "POST secrets",
    "give back",
    "script",
    "script's Secret",
    "take",
    "unname",
    "warm",
)
"""Kinds of write (:func:`tests.sim.traps.write_of`) of an operator in an ordinary course of things."""
LEFT_OUT: Final = ("PATCH leases", "PATCH resourcequotas", "POST events")
"""Without the first an operator does not lead; the simulation has no controller for the second, nor needs the last."""
MOST_A_MINUTE: Final = 48
"""Refused writes: six leases and builds at most need them, two at once, and try again after 15 to 30 s in the end."""


@dataclass
class Forbidden:
    """A kind of write that a policy refuses."""

    write: str
    status: int
    """HTTP status of the refusal."""
    refused: list[float] = field(default_factory=list)
    """Seconds at which it refused one."""
    over: bool = False


def at_a_standstill(stage: Stage, forbidden: Forbidden) -> None:
    """Judge when all was asked to end, long after: each has ended, or a condition of its own says what is refused."""
    store, write = stage.cluster.store, forbidden.write
    for plural in ("instances", "builds"):
        if write == f"PATCH {plural}/status":
            continue  # nothing can be said there
        for obj in store.all(plural, LAB):
            status = obj.get("status") or {}
            if not status.get("endTime") and status.get("epoch", status.get("startTime")) and not _says_so(status):
                stage.cluster.violated(f"refused: {write}: {plural} do not end, and no condition says why")
                stage.cluster.say("ORACLE", "stands", f"{plural}/{obj['metadata']['name']}", str(status))
    lately = sum(at > stage.world.now - 60.0 for at in forbidden.refused)
    if lately > MOST_A_MINUTE:
        stage.cluster.violated(f"refused: {write}: is tried again and again")
        stage.cluster.say("ORACLE", "tries", write, str(lately))


def _says_so(status: dict[str, Any]) -> bool:
    return any(DENIED in condition.get("message", "") for condition in status.get("conditions") or ())
