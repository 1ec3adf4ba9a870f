"""Which deployment a newcomer gets, or why none. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property

from berth_api.cache.deployment import Deployment
from berth_core.leases.availability import preference


class Refusal(Enum):
    """Reason why no deployment can be had."""

    UNKNOWN = auto()
    DISSOLVED = auto()
    FORBIDDEN = auto()
    LOCKED_OUT = auto()
    OFFLINE = auto()
    MAINTENANCE = auto()
    BUSY = auto()


@dataclass(frozen=True)
class Choice:
    """A newcomer's choice among candidates. Each part is computed on demand: most requests need only ``free``.

    ``gone`` tells whether a candidate was dissolved, ``permitted`` whether the caller may use it, ``length`` how many
    wait for it. ``owned`` tells whether the caller is its owner, whom no maintenance stops.
    """

    candidates: Sequence[Deployment]
    gone: Callable[[Deployment], bool]
    permitted: Callable[[Deployment], bool]
    length: Callable[[Deployment], int]
    owned: Callable[[Deployment], bool] = lambda _: False

    @cached_property
    def free(self) -> tuple[Deployment, ...]:
        """Deployments to try, best first."""
        deployments = sorted((d for d in self.candidates if d.is_free_for(owner=self.owned(d))), key=_rank)
        return tuple(d for d in deployments if not self.gone(d) and self.permitted(d))

    @cached_property
    def usable(self) -> tuple[Deployment, ...]:
        """All deployments that the caller may use, busy or not: moving queues first, then the shortest queue first.

        The queue of a deployment that is locked out, offline or under maintenance does not move.
        """
        return tuple(sorted(self._unsorted, key=lambda d: (self._obstacle(d) is not None, self.length(d), _rank(d))))

    @cached_property
    def refusal(self) -> Refusal:
        """Reason to give where none of ``free`` can be had: the first of ``usable`` decides."""
        if not self.candidates:
            return Refusal.UNKNOWN
        if any(self._obstacle(d) is None for d in self._unsorted):
            return Refusal.BUSY  # one of these is the first: most requests need not know which
        if all(map(self.gone, self.candidates)):
            return Refusal.DISSOLVED
        if not self.usable:
            return Refusal.FORBIDDEN
        return self._obstacle(self.usable[0]) or Refusal.BUSY

    @property
    def _unsorted(self) -> Iterator[Deployment]:
        return (d for d in self.candidates if not self.gone(d) and self.permitted(d))

    def _obstacle(self, deployment: Deployment) -> Refusal | None:
        """Obstacle for the caller, however short the queue is."""
        if deployment.resource.spec.lockout:
            return Refusal.LOCKED_OUT
        if deployment.resource.maintenance is not None and not self.owned(deployment):
            return Refusal.MAINTENANCE
        return None if deployment.is_online else Refusal.OFFLINE


def _rank(deployment: Deployment) -> tuple[int, int, str]:
    return preference(deployment.resource)
