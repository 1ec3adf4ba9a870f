"""Decides how far the end of a lease is, and whether a deployment's relays can be trusted with it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final, Literal

from berth_core.kube.conditions import Condition, find
from berth_core.kube.model import parse_time, timestamp
from berth_core.machines.relays import DONE, NOTHING, is_done, verdict
from berth_core.resources import Relay, WorkspaceDeployment
from berth_core.resources.machines.addon import Addon, EndDeed
from berth_core.resources.machines.relay import RelayRequest, RelaySpec

KEEPER_MISSING: Final = "KeeperMissing"
KEEPER_AWAITED: Final = "KeeperAwaited"
KEEPER_READY: Final = "KeeperReady"
NO_ENDS: Final = "NoEnds"
LEASE_END_FAILED: Final = "LeaseEndFailed"
"""Reason of the conditions Rested and Quarantined."""
SWITCHING: Final = "Switching"
"""Reason of the condition Rested while the keeper works."""


class Step(Enum):
    """Next step for one deed of a lease's end."""

    ASK = auto()
    """The keeper was not asked."""
    WAIT = auto()
    """The keeper is at it, or will be."""
    GIVE_UP = auto()
    """It has taken too long: nothing more is tried from now on."""
    DONE = auto()
    FAILED = auto()
    """It was given up."""


@dataclass(frozen=True)
class Progress:
    """How far one deed is; ``why`` says what is known of a failure."""

    step: Step
    why: str = ""


@dataclass(frozen=True)
class Terms:
    """``patience`` is the time for an end, ``clock_trusted`` whether its passing can be seen."""

    patience: timedelta
    clock_trusted: bool = True


def progress(relay: Relay | None, epoch: int, now: datetime, terms: Terms) -> Progress:
    """Return how far a relay is with the end of an epoch. No attempt is under way when it is given up."""
    request = relay.spec.request if relay is not None else None
    if relay is None or request is None or request.epoch != epoch or not request.end:
        return Progress(Step.ASK)
    if request.do == NOTHING:
        return Progress(Step.FAILED, _why(relay))
    if is_done(relay):
        return Progress(Step.DONE)
    deadline = parse_time(request.since) + terms.patience
    if now < deadline or not terms.clock_trusted:
        return Progress(Step.WAIT)
    until = relay.status.attempt_until
    if until is not None and now < parse_time(until):
        return Progress(Step.WAIT)
    return Progress(Step.GIVE_UP, _why(relay))


def asked(relay: Relay | None, epoch: int, do: str, now: datetime, *, end: bool = True) -> RelayRequest:
    """Return the request for a deed at the end of an epoch, or (NOTHING) that no attempt follows."""
    before = relay.spec.request if relay is not None else None
    number = before.number + 1 if before is not None else 1
    return RelayRequest.model_validate(
        {"epoch": epoch, "number": number, "do": do, "end": end, "since": timestamp(now)}
    )


class Closing(Enum):
    """Next step until no request of a holder's is attempted any more."""

    CLOSE = auto()
    WAIT = auto()
    """An attempt is under way."""
    CLOSED = auto()


def closing(relay: Relay, epoch: int, now: datetime, *, has_deed: bool) -> Closing:
    """Return how a relay is closed for the holder of an epoch that ends.

    One without a deed gets a last request in any case: a late write of a process that has read the one before is
    refused then. A deed is such a request by itself.
    """
    request, until = relay.spec.request, relay.status.attempt_until
    if request is None or request.epoch != epoch:
        return Closing.CLOSED if has_deed else Closing.CLOSE
    if request.do != NOTHING and not request.end and not (has_deed and is_done(relay)):
        return Closing.CLOSE
    return Closing.WAIT if until is not None and now < parse_time(until) else Closing.CLOSED


def is_final(relay: Relay, epoch: int) -> bool:
    """Whether a relay was closed for the holder of an epoch, by whatever request: no other of theirs follows."""
    request = relay.spec.request
    return request is not None and request.epoch == epoch and (request.end or request.do == NOTHING)


def relay_spec(deployment: str, addon: Addon | EndDeed, on_lease_end: str | None) -> RelaySpec:
    """Return what a Relay says of an add-on."""
    return RelaySpec.model_validate(
        {"deployment": deployment, "addon": addon.name, "secret": addon.secret, "on_lease_end": on_lease_end}
    )


def differs(relay: Relay, wd: WorkspaceDeployment, spec: RelaySpec) -> bool:
    """Whether a Relay is not that of a deployment's add-on: one of an earlier deployment, or with another Secret."""
    owned = any(owner.uid == wd.metadata.uid for owner in relay.metadata.owner_references)
    return not owned or relay.spec.model_copy(update={"request": None}) != spec


def rests_after(do: str) -> bool:
    """Whether a deed comes after the hooks: these need power, and a machine without any is at rest."""
    return do == "off"


def failure(deed: EndDeed, progress: Progress) -> str:
    """Sentence about a deed that was given up."""
    return f"the end of the lease, {deed.do} by {deed.name}, was not done: {progress.why}"


@dataclass(frozen=True)
class Verdict:
    """Condition SafeState of a deployment."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def safe_state(
    wd: WorkspaceDeployment, relays: Mapping[str, Relay], former: Condition | None, *, keeper: bool | None
) -> Verdict | None:
    """Return whether the ends of leases will be done; None where nothing is to be said.

    ``relays`` are the deployment's, by add-on. ``keeper`` says whether a keeper runs; None while this process has not
    looked, and then what the status says of that holds.
    """
    ends = wd.ends
    if not ends:
        return Verdict("Unknown", NO_ENDS, "no add-on has onLeaseEnd") if former is not None else None
    known = former.reason if former is not None else KEEPER_MISSING
    if keeper is False or (keeper is None and known == KEEPER_MISSING):
        return Verdict(
            "False",
            KEEPER_MISSING,
            "no keeper runs that could do what spec.machine.addons has for the end of a lease: set keeper.enabled of"
            " the chart, look at the Deployment berth-keeper, or take onLeaseEnd away",
        )
    for deed in ends:
        relay = relays.get(deed.name)
        usable = verdict(relay) if relay is not None else None
        if usable is None:
            return Verdict("False", KEEPER_AWAITED, f"the keeper has not looked at the relay {deed.name} yet")
        if usable.status != "True":
            return Verdict("False", usable.reason, f"the relay {deed.name}: {usable.message}")
    return Verdict("True", KEEPER_READY, f"the keeper can work {_names(ends)} at the end of a lease")


def _names(ends: Sequence[EndDeed]) -> str:
    return ", ".join(deed.name for deed in ends)


def _why(relay: Relay) -> str:
    """Outcome of the last attempt at the end, also once it was given up."""
    request, status = relay.spec.request, relay.status
    numbers = () if request is None else (request.number, request.number - 1)
    if status.number not in numbers or not status.attempts:
        return "no keeper took it up; look at the Deployment berth-keeper"
    last = find(status.conditions, DONE)
    attempts = f"{status.attempts} attempts" if status.attempts > 1 else "1 attempt"
    return f"{attempts}, the last: {last.message}" if last is not None else f"{attempts} did not end"
