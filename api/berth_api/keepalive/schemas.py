"""Keeping an instance."""

from pydantic import BaseModel, Field

from berth_api.http.options import MOST_SECONDS


class ExtendRequest(BaseModel):
    """A later end."""

    expire_d: int = Field(
        description="Seconds from now to the end; before readiness, from readiness.", ge=1, le=MOST_SECONDS
    )


class Extended(BaseModel):
    """The new end."""

    expires: str | None = Field(description="When the instance will be ended; null before it is ready.")
