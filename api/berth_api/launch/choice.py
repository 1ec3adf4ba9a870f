"""Which deployment a newcomer gets, or why none. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property

from berth_api.cache.deployment import Deployment


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
    """What a newcomer may have among candidates. Each part is worked out when it is asked for: most need only ``free``.

    ``gone`` says whether a candidate was taken away for good, ``permitted`` whether the caller may use it, ``length``
    how many stand before it.
    """

    candidates: Sequence[Deployment]
    gone: Callable[[Deployment], bool]
    permitted: Callable[[Deployment], bool]
    length: Callable[[Deployment], int]

    @cached_property
    def free(self) -> tuple[Deployment, ...]:
        """Deployments to try, best first: the newest type version, then those that were lent least."""
        found = sorted((d for d in self.candidates if d.is_free), key=_rank)
        return tuple(d for d in found if not self.gone(d) and self.permitted(d))

    @cached_property
    def usable(self) -> tuple[Deployment, ...]:
        """All that the caller may use, whatever keeps them busy: those that move first, then the shortest queue first.

        The queue of what is locked out or offline does not move.
        """
        found = (d for d in self.candidates if not self.gone(d) and self.permitted(d))
        return tuple(sorted(found, key=lambda d: (_obstacle(d) is not None, self.length(d), _rank(d))))

    @cached_property
    def refusal(self) -> Refusal:
        """What the answer says where none of ``free`` can be had: the first of ``usable`` decides."""
        if not self.candidates:
            return Refusal.UNKNOWN
        if all(map(self.gone, self.candidates)):
            return Refusal.DISSOLVED
        if not self.usable:
            return Refusal.FORBIDDEN
        return _obstacle(self.usable[0]) or Refusal.BUSY


def _obstacle(deployment: Deployment) -> Refusal | None:
    """What keeps everybody out, however short the queue is."""
    if deployment.resource.spec.lockout:
        return Refusal.LOCKED_OUT
    return None if deployment.is_online else Refusal.OFFLINE


def _rank(deployment: Deployment) -> tuple[int, int, str]:
    resource = deployment.resource
    return -resource.spec.type_version, resource.status.instances, deployment.id
