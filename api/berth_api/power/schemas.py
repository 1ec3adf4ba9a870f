"""Power of an instance's machine."""

from typing import Literal, Self

from pydantic import BaseModel, Field

from berth_api.http.bodies import Options
from berth_core.machines.relays import NOTHING, is_done, outcome, verdict
from berth_core.resources import Relay


class PowerRequest(Options):
    """An order for the relay."""

    do: Literal["on", "off", "cycle"] = Field(description="Order for the relay.")


class Power(BaseModel):
    """The relay, and the latest order of this lease."""

    status: Literal["starting", "active"] = Field(description="`starting` while the relay cannot be worked.")
    do: Literal["on", "off", "cycle"] | None = Field(None, description="Latest order of this lease.")
    done: bool | None = Field(None, description="Whether it was done.")
    message: str | None = Field(None, description="How the latest attempt ended.")

    @classmethod
    def of(cls, relay: Relay, epoch: int) -> Self:
        """Show a relay to the holder of an epoch. Words about its Secret are for administrators."""
        usable, request, last = verdict(relay), relay.spec.request, outcome(relay)
        active = usable is not None and usable.status == "True"
        shown = cls(status="active" if active else "starting")
        if request is None or request.epoch != epoch or request.do == NOTHING:
            return shown
        told = last.message if last is not None and not last.reason.startswith("Secret") else None
        return shown.model_copy(update={"do": request.do, "done": is_done(relay), "message": told})
