"""The end of tokens."""

from pydantic import BaseModel, Field


class PurgeRequest(BaseModel):
    """User whose tokens end, and the password as proof; without both, a token is the proof."""

    user: str | None = Field(None, description="The user's name.")
    password: str | None = Field(None, description="His password, as set with `berth user set-password`.")
