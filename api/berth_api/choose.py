"""Which deployment a newcomer gets, or why none. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from berth_api.deployment import OFFLINE, Deployment


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
    """Deployments to try, best first; where there are none, why."""

    free: tuple[Deployment, ...]
    refusal: Refusal


def choose(candidates: Sequence[Deployment], permitted: Callable[[Deployment], bool]) -> Choice:
    """Choose among the candidates: the newest type version first, then the one that was lent least."""
    remaining = list(candidates)
    steps: tuple[tuple[Refusal, Callable[[Deployment], bool]], ...] = (
        (Refusal.DISSOLVED, lambda d: not d.is_dissolved),
        (Refusal.FORBIDDEN, permitted),
        (Refusal.LOCKED_OUT, lambda d: not d.resource.spec.lockout),
        (Refusal.OFFLINE, lambda d: d.reason != OFFLINE),
    )
    if not remaining:
        return Choice((), Refusal.UNKNOWN)
    for refusal, passes in steps:
        remaining = [deployment for deployment in remaining if passes(deployment)]
        if not remaining:
            return Choice((), refusal)
    free = (deployment for deployment in remaining if deployment.is_free)
    return Choice(tuple(sorted(free, key=_rank)), Refusal.BUSY)


def _rank(deployment: Deployment) -> tuple[int, int, str]:
    resource = deployment.resource
    return -resource.spec.type_version, resource.status.instances, deployment.id
