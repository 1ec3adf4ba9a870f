"""Places in the queue."""

from pydantic import BaseModel, Field


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


class Reservations(BaseModel):
    """Reservations that wait, in the order of the queue."""

    reservations: list[ReservationShown]
