"""Judges by connections to a probe's pod whether the cluster enforces NetworkPolicy (ADR 0015). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from berth_core.kube.conditions import Condition, condition
from berth_core.kube.types import Object

CONDITION: Final = "NetworkPolicyEnforced"
STEADY: Final = 3
"""Samples in a row that must say the same: a policy that is being put in force may flicker."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Outcome of two connections to the pod, the forbidden one first."""

    forbidden: bool
    """One to the port that the pod's policy does not name came about."""
    admitted: bool
    """One to the port that it names came about: the pod is there and can be reached."""
    outward: bool | None
    """The pod, which may connect to nothing, could connect to the API server; None where it did not say."""

    @property
    def shut(self) -> bool:
        """Whether the policy held, both ways."""
        return self.admitted and not self.forbidden and self.outward is False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of a probe: status, reason and message of a condition."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str

    def condition(self, now: datetime, generation: int | None) -> Condition:
        """Return the condition of a WorkspaceType."""
        return condition(CONDITION, self.status, self.reason, self.message, now=now, generation=generation)


ENFORCED: Final = Verdict("True", "Enforced", "a probe met what its NetworkPolicy says, in both directions")
NOT_PROBED: Final = Verdict("Unknown", "NotProbed", "networkPolicy.probeInterval is off: set an interval for a test")
WALLS: Final = "firewall rules hold nevertheless, by nftables in each pod; the egress rules of types do not"


def settled(samples: Sequence[Sample]) -> bool:
    """Whether the last samples say that the policy holds, so that more would say nothing new."""
    return len(samples) >= STEADY and all(sample.shut for sample in samples[-STEADY:])


def judged(samples: Sequence[Sample]) -> Verdict:
    """Verdict over all samples, once the policy had the time to be put in force.

    Without a connection that was to come about, silence says nothing: the pod may be out of reach.
    """
    if settled(samples):
        return ENFORCED
    reached = [sample for sample in samples if sample.admitted][-STEADY:]
    if not reached:
        return unknown("ProbeUnreachable", "the probe's pod runs, and no connection to it succeeded")
    inward = reached[-1].forbidden
    outward = bool(reached[-1].outward)
    if inward and outward:
        return _open("NotEnforced", "a NetworkPolicy stops no connection to a pod or from it")
    if inward:
        return _open("IngressNotEnforced", "a NetworkPolicy stops no connection to a pod")
    if outward:
        return _open("EgressNotEnforced", "a NetworkPolicy stops no connection from a pod to the API server")
    return unknown("ProbeUnsteady", "connections to the probe's pod succeeded and failed by turns")


def unknown(reason: str, why: str) -> Verdict:
    """Nothing was found out."""
    return Verdict("Unknown", reason, f"whether NetworkPolicy is enforced is not known: {why}")


def _open(reason: str, what: str) -> Verdict:
    return Verdict("False", reason, f"{what}: this cluster's network plugin does not enforce it; {WALLS}")


def why_not_running(pod: Object | None) -> str:
    """Reason why a pod does not run, by its status, in a few words."""
    status = (pod or {}).get("status") or {}
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        for reason in (state.get("waiting"), state.get("terminated")):
            if reason:
                return f"its container is {reason.get('reason') or 'not running'}"
    for entry in status.get("conditions") or ():
        if entry["type"] == "PodScheduled" and entry["status"] == "False":
            return f"it is not scheduled: {entry.get('message') or entry.get('reason') or ''}"[:300]
    return "its status does not say why"
