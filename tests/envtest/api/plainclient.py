"""A client that behaves as the public ones do: JSON as plain data, and nothing read of a refusal but its text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

TEXT_FIELDS = ("result_message", "error", "error_message")
"""In the order in which public clients look for a refusal's text."""


class RefusedError(Exception):
    """The API refused; the text is all that a public client knows."""


@dataclass(frozen=True)
class PlainClient:
    """Talks to one base URL with one token."""

    url: str
    token: str | None = None

    def get(self, path: str) -> Any:
        """Ask for something."""
        return self._send("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a body as plain data, which HTTP libraries call a form or nothing at all."""
        return self._send("POST", path, json.dumps(body) if body is not None else None)

    def delete(self, path: str) -> Any:
        """Take something away."""
        return self._send("DELETE", path, None)

    def _send(self, method: str, path: str, data: str | None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = httpx.request(method, self.url + path, content=data, headers=headers, timeout=20)
        if answer.is_success:
            return answer.json() if answer.content else None
        fields = answer.json()
        raise RefusedError(next(fields[name] for name in TEXT_FIELDS if name in fields))
