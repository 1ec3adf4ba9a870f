"""Places in the queue: Reservation resources.

A Reservation lies in one namespace and waits for deployments of that namespace: names in ``spec`` mean nothing
elsewhere, and its instance will lie beside it. Where candidates lie in several namespaces, it is the namespace of the
one with the shortest queue. A list keeps only the deployments there that the rules permit now.
"""

from collections.abc import Callable, Sequence
from typing import Final

from berth_api import lookups, marks
from berth_api.auth import access
from berth_api.auth.access import Scope
from berth_api.auth.identity import Identity
from berth_api.cache.deployment import Deployment
from berth_api.http.errors import BadRequestError
from berth_api.idempotency.making import create
from berth_api.reservations.schemas import ReservationShown, Reserved
from berth_api.reservations.wish import Wish, wished
from berth_api.state import State
from berth_core import ids, names
from berth_core.kube import errors as cluster
from berth_core.kube.swap import swap
from berth_core.queue import order
from berth_core.resources import Reservation, WorkspaceType, manifest
from berth_core.resources.reservation import ReservationSpec

MOST_WAITING: Final = 100
"""Reservations of one user that wait."""


async def reserve(state: State, wish: Wish, kind: WorkspaceType, usable: Sequence[Deployment]) -> Reserved:
    """Make a reservation for the ``usable`` deployments, the shortest queue first; ``kind`` is the first one's type.

    Raises BadRequestError where the caller has too many. The count is not a lock: concurrent requests may exceed it.
    """
    if sum(map(order.waits, await lookups.reservations(state, wish.identity.user))) >= MOST_WAITING:
        raise BadRequestError(f"at most {MOST_WAITING} reservations of one user may wait: give up some first")
    namespace = usable[0].namespace
    targets = wish.target.deployments
    mine = sorted(
        (d for d in usable if d.namespace == namespace and d.id in targets), key=lambda d: targets.index(d.id)
    )
    spec = ReservationSpec(
        user=wish.identity.user,
        workspace_type=wish.target.type,
        deployments=[d.name for d in mine] or None,
        event_url=wish.options.eurl,
        superuser=wish.identity.superuser,
        instance=wished(wish, kind),
    )
    reservation_id = ids.uuid7_at(await state.now())
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY} | wish.identity.labels
    body = manifest(Reservation, namespace, reservation_id, spec, labels=labels)
    try:
        await create(state.client, Reservation, body)
    except cluster.InvalidError as error:
        raise BadRequestError(error.message) from error
    await marks.mark(state, kind)
    return Reserved(success=False, id=reservation_id)


async def listed(state: State, identity: Identity) -> list[ReservationShown]:
    """List the caller's waiting reservations, live, in the order of the queue; a superuser's list has everyone's."""
    access.need_unconstrained(identity)
    return await _places(state, access.listed_user(identity))


async def one(state: State, identity: Identity, reservation_id: str) -> ReservationShown:
    """Read one reservation that waits, live. Raises MissingError."""
    access.need_unconstrained(identity)
    reservation = await _waiting(state, identity, reservation_id)
    for place in await _places(state, reservation.spec.user):
        if place.instance == ids.turn_instance(reservation.metadata.uid):
            return place
    raise access.reservation_missing()  # its turn came between the two reads


async def cancel(state: State, identity: Identity, reservation_id: str) -> None:
    """Give up a place. Raises MissingError where the turn has come already; there is an instance to end then."""
    access.need_unconstrained(identity)
    access.need_write(identity, Scope.CHANGE)

    async def attempt() -> None:
        metadata = (await _waiting(state, identity, reservation_id)).metadata
        try:
            await state.client.delete(
                Reservation.api(),
                metadata.namespace,
                metadata.name,
                uid=metadata.uid,
                resource_version=metadata.resource_version,
            )
        except cluster.NotFoundError as error:
            raise access.reservation_missing() from error

    await swap(attempt, f"reservation {reservation_id}")


async def _waiting(state: State, identity: Identity, reservation_id: str) -> Reservation:
    reservation = await lookups.reservation(state, reservation_id, access.listed_user(identity))
    if reservation is None or not order.waits(reservation):
        raise access.reservation_missing()
    access.need_own_reservation(identity, reservation)
    return reservation


async def _places(state: State, user: str | None) -> list[ReservationShown]:
    """Places of a user's reservations, or of everyone's: the user's are read live, all others come from the caches."""
    state.caches.need_fresh()
    mine = await lookups.reservations(state, user)
    others = [r for r in state.caches.reservations if user is not None and r.spec.user != user]
    positions = order.positions([*mine, *others], lambda *key: _type_named(state, *key))
    endings = _endings_of(state)
    places = []
    for reservation in sorted(filter(order.waits, mine), key=order.turn):
        position = positions[reservation.metadata.namespace, reservation.metadata.name]
        places.append(ReservationShown.of(reservation, position, order.eta(position, endings(reservation))))
    return places


def _type_named(state: State, namespace: str, name: str) -> str | None:
    deployment = lookups.cached_deployment(state, namespace, name)
    return deployment.type if deployment is not None else None


def _endings_of(state: State) -> Callable[[Reservation], list[str | None]]:
    """Ends of the leases before a reservation, None for a free deployment; the leases of a type are gathered once."""
    by_type: dict[tuple[str, str], list[str | None]] = {}

    def endings(reservation: Reservation) -> list[str | None]:
        namespace, type_name = reservation.metadata.namespace, reservation.spec.workspace_type
        if type_name is None:
            deployments = [
                lookups.cached_deployment(state, namespace, name) for name in set(reservation.spec.deployments or ())
            ]
            return _ends(state, [d for d in deployments if d is not None])
        if (namespace, type_name) not in by_type:
            of_type = [d for d in state.caches.deployments.by("type", type_name) if d.namespace == namespace]
            by_type[namespace, type_name] = _ends(state, of_type)
        return by_type[namespace, type_name]

    return endings


def _ends(state: State, deployments: Sequence[Deployment]) -> list[str | None]:
    ends: list[str | None] = []
    for deployment in deployments:
        lease = deployment.resource.status.lease
        if deployment.is_free:
            ends.append(None)
        elif lease is not None and not deployment.resource.spec.lockout and not deployment.is_dissolved:
            ends += [ending.expires for ending in state.caches.endings.by("id", lease.instance) if ending.expires]
    return ends
