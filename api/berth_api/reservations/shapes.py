"""How reservations look to clients. Pure."""

from berth_api.http.answers import Shape
from berth_api.reservations.service import Place
from berth_core import ids
from berth_core.resources import Reservation


def reservation(place: Place) -> Shape:
    """Shape a reservation that waits."""
    metadata = place.reservation.metadata
    shape: Shape = {
        "id": ids.instance_id(metadata.name, metadata.uid),
        "created": metadata.creation_timestamp,
        "desc": description(place.reservation),
        "user": place.reservation.spec.user,
        "position": place.position,
        "instance": ids.turn_instance(metadata.uid),
    }
    if place.eta is not None:
        shape["eta"] = place.eta
    return shape


def description(waiting: Reservation) -> str:
    """Name the target of its wait: ``type T``, ``deployment ID``, or ``deployments ID,ID``, with public ids."""
    if waiting.spec.workspace_type is not None:
        return f"type {waiting.spec.workspace_type}"
    found = [ids.deployment_id(waiting.metadata.namespace, name) for name in waiting.spec.deployments or ()]
    return f"{'deployment' if len(found) == 1 else 'deployments'} {','.join(found)}"
