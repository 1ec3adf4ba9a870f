"""The webhook that tells of a reservation's turn. Pure."""

from datetime import datetime

import orjson

from berth_core import ids, names
from berth_core.kube.model import timestamp
from berth_core.kube.types import Object
from berth_core.resources import Delivery, DeliverySpec, Reservation, manifest


def delivery(reservation: Reservation, now: datetime) -> Object | None:
    """Manifest of the Delivery for a reservation; None where nothing was granted, or no webhook is asked for.

    Its name and its `webhook-id` follow from the reservation, so that making it again finds it there. It outlives the
    reservation and has no owner: the notifier deletes it.
    """
    grant, url = reservation.status.grant, reservation.spec.event_url
    if grant is None or url is None:
        return None
    metadata = reservation.metadata
    public_id = ids.instance_id(metadata.name, metadata.uid)
    payload = {
        "type": "reservation.fulfilled",
        "timestamp": timestamp(now),
        "data": {
            "reservation": public_id,
            "instance": grant.instance,
            "deployment": ids.deployment_id(metadata.namespace, grant.deployment),
        },
    }
    spec = DeliverySpec(
        url=url,
        payload=orjson.dumps(payload).decode(),
        id=f"msg_{metadata.uid}",
        user=reservation.spec.user,
        reservation=public_id,
        instance=grant.instance,
    )
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY}
    return manifest(Delivery, metadata.namespace, names.delivery(metadata.uid), spec, labels=labels)
