"""Decides which epochs of a deployment may reach the machine. Pure; :mod:`berth_connector.record` keeps the state.

The fence knows for each deployment the highest epoch that it has met. It never goes back: no stream, no link and no
restart admits a lower one.

``moved`` says that streams may have moved the machine since it was last brought to rest. ``owed`` says that it has to
be brought to rest before any stream is admitted: the link was lost, or the connector itself was gone. So ``owed`` is
never without ``moved``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True)
class Mark:
    """State of the fence for one deployment."""

    epoch: int
    """The highest epoch that was met, from 1 on."""
    over: bool = False
    """Whether that epoch has ended."""
    moved: bool = False
    owed: bool = False


@dataclass(frozen=True)
class Refused:
    """A stream that is not admitted."""

    reason: str
    message: str
    mark: Mark | None
    """The state after the decision: a newer epoch is remembered though its stream is refused."""
    cuts: bool = False
    """Whether open streams of the deployment end."""


@dataclass(frozen=True)
class Admitted:
    """A stream that is admitted once ``mark`` is on disk and, where ``cuts`` says so, older streams have ended."""

    mark: Mark
    cuts: bool = False


STALE: Final = "StaleEpoch"
OVER: Final = "LeaseOver"
NOT_AT_REST: Final = "NotAtRest"


def admit(mark: Mark | None, epoch: int) -> Admitted | Refused:
    """Decide about a stream of an epoch, whose grant has been verified."""
    if mark is not None and epoch < mark.epoch:
        return Refused(STALE, f"epoch {epoch} is over: this connector has met epoch {mark.epoch}", mark)
    if mark is not None and epoch == mark.epoch and mark.over:
        return Refused(OVER, f"the lease of epoch {epoch} has ended", mark)
    newer = mark is None or epoch > mark.epoch
    owed = mark is not None and mark.owed
    after = Mark(epoch, moved=owed, owed=owed) if newer or mark is None else mark
    if owed:
        message = "the machine has not been brought to rest yet, see `berth-connector status` on its host: try again"
        return Refused(NOT_AT_REST, message, after, cuts=newer)
    return Admitted(replace(after, moved=True), cuts=newer)


def announced(mark: Mark | None, epoch: int) -> Mark | None:
    """State after the operator's word that an epoch has begun; None where that is no news. Older streams end."""
    if mark is not None and epoch <= mark.epoch:
        return None
    owed = mark is not None and mark.owed
    return Mark(epoch, moved=owed, owed=owed)


def ended(mark: Mark | None, epoch: int) -> Mark | None:
    """State after the operator's word that an epoch has ended; None where that is no news. All streams end with it.

    The type's hooks bring the machine to rest between leases, so nothing is owed that was not owed before.
    """
    if mark is not None and (epoch < mark.epoch or (epoch == mark.epoch and mark.over)):
        return None
    owed = mark is not None and mark.owed
    return Mark(epoch, over=True, moved=owed, owed=owed)


def lost(mark: Mark) -> Mark | None:
    """State after the link was lost for too long, or the connector has started anew; None where nothing changes."""
    return replace(mark, owed=True) if mark.moved and not mark.owed else None


def rested(mark: Mark) -> Mark:
    """State after the machine was brought to rest."""
    return replace(mark, moved=False, owed=False)


def silent(heard: float, now: float, limit: float) -> bool:
    """Whether a link on which something was last heard at ``heard`` counts as lost. Seconds of one steady clock."""
    return not 0 <= now - heard <= limit
