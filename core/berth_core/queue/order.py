"""Reservations that wait for deployments, and their order. Pure.

The order is that of the store: the higher priority, then the earlier second in which the API server made the object,
then the lower first version of the object. The operator keeps second and version in ``status.queued`` with its first
write. No clock of a client, an API process or the operator counts, nor does a name that somebody chose.

A reservation is served by deployments of its own namespace, like everything that names deployments.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from functools import reduce
from operator import or_
from typing import Final

from berth_core.kube import conditions
from berth_core.kube.model import parse_time
from berth_core.resources import Reservation, WorkspaceDeployment
from berth_core.resources.base import ObjectMeta, Queued

WAITING: Final = "Waiting"
FULFILLED: Final = "Fulfilled"
NOTIFIED: Final = "Notified"
"""Condition of a Reservation with an eventUrl: whether the Delivery about its turn was made."""

Turn = tuple[int, int, int, str]
"""Sort key of a queue: the least comes first."""
Key = tuple[str, str]
"""Namespace and name of an object."""
TypeOf = Callable[[str, str], str | None]
"""Type of a deployment by namespace and name; None where there is no such deployment."""


def waits(reservation: Reservation) -> bool:
    """Whether the reservation's turn has yet to come."""
    status = reservation.status
    ended = status.grant is not None or conditions.is_true(status.conditions, FULFILLED)
    return not ended and reservation.metadata.deletion_timestamp is None


def is_settled(reservation: Reservation) -> bool:
    """Whether its turn has come and nothing is left to do for it."""
    return conditions.find(reservation.status.conditions, FULFILLED) is not None


def applies(reservation: Reservation, wd: WorkspaceDeployment) -> bool:
    """Whether a deployment could serve a reservation."""
    if reservation.metadata.namespace != wd.metadata.namespace:
        return False
    return reservation.spec.workspace_type == wd.spec.type or wd.metadata.name in (reservation.spec.deployments or ())


def turn(reservation: Reservation) -> Turn:
    """Place of a reservation in the order in which waiters are served."""
    return turn_of(reservation.metadata, reservation.status.queued, reservation.spec.priority)


def turn_of(metadata: ObjectMeta, record: Queued | None, priority: int = 0) -> Turn:
    """Place of a resource in the order in which waiters are served; ``record`` is its ``status.queued``."""
    place = record or queued(metadata)
    return -priority, int(parse_time(place.since).timestamp()), place.version, metadata.name


def queued(metadata: ObjectMeta) -> Queued:
    """Return the place of a resource whose status has none yet; until it has, each write moves the resource back."""
    version = metadata.resource_version
    return Queued(since=metadata.creation_timestamp, version=int(version) if version.isdecimal() else 0)


def positions(reservations: Iterable[Reservation], type_of: TypeOf) -> dict[Key, int]:
    """Place of each waiting reservation among those that some deployment could serve as well.

    The first is 1. One pass: rivals ahead are counted by type, and by name in bit sets, one bit a reservation.
    """
    types: Counter[Key] = Counter()
    lists: Counter[Key] = Counter()
    rivals_by_name: defaultdict[Key, int] = defaultdict(int)
    places: dict[Key, int] = {}
    for number, reservation in enumerate(sorted(filter(waits, reservations), key=turn)):
        namespace, type_name = reservation.metadata.namespace, reservation.spec.workspace_type
        if type_name is not None:
            ahead = types[namespace, type_name] + lists[namespace, type_name]
            types[namespace, type_name] += 1
        else:
            keys = [(namespace, name) for name in set(reservation.spec.deployments or ())]
            kinds = {(namespace, kind) for _, name in keys if (kind := type_of(namespace, name)) is not None}
            rivals = reduce(or_, (rivals_by_name[key] for key in keys), 0)
            ahead = rivals.bit_count() + sum(types[kind] for kind in kinds)
            lists.update(kinds)
            for key in keys:
                rivals_by_name[key] |= 1 << number
        places[namespace, reservation.metadata.name] = ahead + 1
    return places


def eta(position: int, endings: Iterable[str | None]) -> str | None:
    """When the turn comes if all leases end at their latest time, with one deployment for each waiter in order.

    ``endings`` has an entry for each deployment that could serve: the end of its lease (RFC 3339), None where it
    is free. The answer is None where it is not known.
    """
    in_order = sorted(endings, key=lambda end: end or "")
    return in_order[position - 1] if position <= len(in_order) else None


class Queues:
    """Counts of applicable reservations for any deployment, from one pass over all reservations."""

    def __init__(self, reservations: Iterable[Reservation] = ()) -> None:
        self._by_type: Counter[Key] = Counter()
        self._by_name: Counter[Key] = Counter()
        for reservation in reservations:
            self.add(reservation)

    def add(self, reservation: Reservation) -> None:
        """Count a reservation, if it waits."""
        self._count(reservation, 1)

    def remove(self, reservation: Reservation) -> None:
        """Uncount a reservation that was added in the same state."""
        self._count(reservation, -1)

    def _count(self, reservation: Reservation, change: int) -> None:
        if not waits(reservation):
            return
        namespace = reservation.metadata.namespace
        if reservation.spec.workspace_type is not None:
            self._by_type[namespace, reservation.spec.workspace_type] += change
        for name in set(reservation.spec.deployments or ()):
            self._by_name[namespace, name] += change

    def applying(self, wd: WorkspaceDeployment) -> int:
        """Count the reservations that this deployment could serve."""
        namespace = wd.metadata.namespace
        return self._by_type[namespace, wd.spec.type] + self._by_name[namespace, wd.metadata.name]

    def length(self, wd: WorkspaceDeployment) -> int:
        """Queue length for clients: 0 when the deployment is not leased and nobody waits, else 1 + waiters."""
        applying = self.applying(wd)
        return 0 if wd.status.lease is None and applying == 0 else 1 + applying
