"""Places in the queue."""

from typing import Self

from pydantic import BaseModel, Field

from berth_core import ids
from berth_core.resources import Reservation


class Reserved(BaseModel):
    """A place in the queue instead of an instance."""

    success: bool = Field(description="false")
    id: str = Field(description="Id of the reservation.")


class ReservationShown(BaseModel):
    """A reservation that waits."""

    id: str
    created: str
    desc: str = Field(description="`type T`, `deployment ID`, or `deployments ID,ID`.")
    user: str
    position: int = Field(description="Among those that wait for the same things; the first is 1.", ge=1)
    instance: str = Field(description="Id of the instance that is made when the turn comes.")
    eta: str | None = Field(
        None, description="When the turn comes if all leases end when they must; absent where that is not known."
    )

    @classmethod
    def of(cls, reservation: Reservation, position: int, eta: str | None) -> Self:
        """Show a reservation that waits; ``position`` counts from 1."""
        metadata = reservation.metadata
        return cls(
            id=ids.instance_id(metadata.name, metadata.uid),
            created=metadata.creation_timestamp,
            desc=_description(reservation),
            user=reservation.spec.user,
            position=position,
            instance=ids.turn_instance(metadata.uid),
            eta=eta,
        )


class Reservations(BaseModel):
    """Reservations that wait, in the order of the queue."""

    reservations: list[ReservationShown]


def _description(waiting: Reservation) -> str:
    """Name the target of its wait: ``type T``, ``deployment ID``, or ``deployments ID,ID``, with public ids."""
    if waiting.spec.workspace_type is not None:
        return f"type {waiting.spec.workspace_type}"
    targets = [ids.deployment_id(waiting.metadata.namespace, name) for name in waiting.spec.deployments or ()]
    return f"{'deployment' if len(targets) == 1 else 'deployments'} {','.join(targets)}"
