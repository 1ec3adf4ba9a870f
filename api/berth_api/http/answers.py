"""The two forms of an answer."""

from typing import Any

import orjson
from starlette.responses import Response


class JSON(Response):
    """A JSON body."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode."""
        return orjson.dumps(content)


class Empty(Response):
    """Success without a body. Like every answer, it names the media type."""

    def __init__(self, status_code: int = 200) -> None:
        super().__init__(b"", status_code, media_type="application/json")
