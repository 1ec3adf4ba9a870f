"""Who waits for what. Pure."""

from collections import Counter
from collections.abc import Iterable

from berth_core import conditions
from berth_core.resources import Reservation, WorkspaceDeployment

FULFILLED = "Fulfilled"


def waits(reservation: Reservation) -> bool:
    """Whether the reservation's turn has yet to come."""
    status = reservation.status
    ended = status.grant is not None or conditions.is_true(status.conditions, FULFILLED)
    return not ended and reservation.metadata.deletion_timestamp is None


class Queues:
    """Numbers of reservations that apply, for any deployment, from one pass over them all."""

    def __init__(self, reservations: Iterable[Reservation]) -> None:
        self._by_type: Counter[str] = Counter()
        self._by_name: Counter[tuple[str, str]] = Counter()
        for reservation in filter(waits, reservations):
            if reservation.spec.workspace_type is not None:
                self._by_type[reservation.spec.workspace_type] += 1
            for name in set(reservation.spec.deployments or ()):
                self._by_name[reservation.metadata.namespace, name] += 1

    def applying(self, wd: WorkspaceDeployment) -> int:
        """Count the reservations that this deployment could serve."""
        return self._by_type[wd.spec.type] + self._by_name[wd.metadata.namespace, wd.metadata.name]

    def length(self, wd: WorkspaceDeployment) -> int:
        """Queue length as clients see it: 0 when it is not in use and nobody waits, else 1 + those who wait."""
        applying = self.applying(wd)
        return 0 if wd.status.lease is None and applying == 0 else 1 + applying
