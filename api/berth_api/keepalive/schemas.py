"""Keeping an instance."""

from pydantic import BaseModel, Field

from berth_api.http.bodies import Options, Seconds


class ExtendRequest(Options):
    """A later end."""

    expire_d: Seconds = Field(description="Seconds from now to the end; before readiness, from readiness.")


class Extended(BaseModel):
    """The new end."""

    expires: str | None = Field(description="When the instance will be ended; null before it is ready.")
