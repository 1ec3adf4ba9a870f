"""Common parts of all routes' answers."""

from typing import Annotated

from pydantic import BaseModel, Field, WithJsonSchema

SshKey = Annotated[str, WithJsonSchema({"type": "string", "format": "ssh-public-key"})]
HttpUrl = Annotated[str, WithJsonSchema({"type": "string", "format": "http-url"})]
GitUrl = Annotated[str, WithJsonSchema({"type": "string", "format": "git-url"})]
ClonePath = Annotated[str, WithJsonSchema({"type": "string", "format": "clone-path"})]
Cidr = Annotated[str, WithJsonSchema({"type": "string", "format": "cidr"})]
Printable = Annotated[str, WithJsonSchema({"type": "string", "format": "printable"})]


class Refusal(BaseModel):
    """A refusal, with its reason."""

    error_message: str
    result_message: str | None = Field(None, description="The same, where something is busy.")
    error: str | None = Field(None, description="The same, where POST /new… fails.")
    request_id: str | None = Field(None, description="With status 500: what to quote.")
