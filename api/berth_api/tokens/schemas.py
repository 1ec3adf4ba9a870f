"""The end of tokens."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, WithJsonSchema

Text = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "null"}]})]
"""A text; anything else is wrong in the way of a wrong password, and only where no HTTP Basic comes first."""


class PurgeRequest(BaseModel):
    """User whose tokens end, and the password as proof; without both, a token is the proof."""

    user: Text = Field(None, description="The user's name.")
    password: Text = Field(None, description="The user's password, as set with `berth user set-password`.")
