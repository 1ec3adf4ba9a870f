"""Which deployment a newcomer gets, or why none. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from berth_api.deployment import Deployment


class Refusal(Enum):
    """Why there is none to be had."""

    UNKNOWN = auto()
    DISSOLVED = auto()
    FORBIDDEN = auto()
    LOCKED_OUT = auto()
    OFFLINE = auto()
    BUSY = auto()


@dataclass(frozen=True)
class Choice:
    """What a newcomer may have.

    ``free``: deployments to try, best first. ``usable``: all that the caller may use, whatever keeps them busy; the
    first decides what the answer says where none of ``free`` can be had. ``refusal``: that answer.
    """

    free: tuple[Deployment, ...]
    usable: tuple[Deployment, ...]
    refusal: Refusal


def choose(
    candidates: Sequence[Deployment],
    permitted: Callable[[Deployment], bool],
    length: Callable[[Deployment], int],
) -> Choice:
    """Choose among the candidates that the caller may use: those that were not dissolved and that the rules permit.

    Free ones are ranked by type version, the newest first, then by how often they were lent. Where none is free, the
    one with the shortest queue (``length``) decides what the answer says; the queue of what is locked out or offline
    does not move, so such a one decides only where there are no others.
    """
    if not candidates:
        return Choice((), (), Refusal.UNKNOWN)
    present = [d for d in candidates if not d.is_dissolved]
    if not present:
        return Choice((), (), Refusal.DISSOLVED)
    usable = [d for d in present if permitted(d)]
    if not usable:
        return Choice((), (), Refusal.FORBIDDEN)
    queued = sorted(usable, key=lambda d: (_obstacle(d) is not None, length(d), _rank(d)))
    free = sorted((d for d in usable if d.is_free), key=_rank)
    return Choice(tuple(free), tuple(queued), _obstacle(queued[0]) or Refusal.BUSY)


def _obstacle(deployment: Deployment) -> Refusal | None:
    """What keeps everybody out, however short the queue is."""
    if deployment.resource.spec.lockout:
        return Refusal.LOCKED_OUT
    return None if deployment.is_online else Refusal.OFFLINE


def _rank(deployment: Deployment) -> tuple[int, int, str]:
    resource = deployment.resource
    return -resource.spec.type_version, resource.status.instances, deployment.id
