"""Common parts of all routes' answers."""

from pydantic import BaseModel, Field


class Refusal(BaseModel):
    """A refusal, with its reason."""

    error_message: str
    result_message: str | None = Field(None, description="The same, where something is busy.")
    error: str | None = Field(None, description="The same, where POST /new… fails.")
    request_id: str | None = Field(None, description="With status 500: number to quote.")
