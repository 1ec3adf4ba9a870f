"""Bodies of requests, and notes on requests for the OpenAPI document."""

from typing import Any, Final

from fastapi import Request

from berth_api.http.errors import TooLargeError
from berth_api.http.schemas import Refusal

LARGEST_BODY: Final = 64 * 1024


async def read_body(request: Request) -> bytes:
    """Read the whole body. Raises TooLargeError."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > LARGEST_BODY:
            raise TooLargeError(f"request body is larger than {LARGEST_BODY} bytes")
    return bytes(data)


def query_parameters(**described: str) -> dict[str, Any]:
    """Describe query parameters for the OpenAPI document: every value is accepted, an invalid one means the default."""
    parameters = [
        {"name": name, "in": "query", "required": False, "schema": {"type": "string"}, "description": text}
        for name, text in described.items()
    ]
    return {"parameters": parameters}


def refusals(**described: str) -> dict[int | str, dict[str, Any]]:
    """Describe refusals for the OpenAPI document: ``refusals(_404="instance not found")``."""
    return {int(status.lstrip("_")): {"model": Refusal, "description": text} for status, text in described.items()}
