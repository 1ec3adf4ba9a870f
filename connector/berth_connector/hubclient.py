"""Requests to the hub over HTTPS: what it is, a certificate for a token, and a new certificate for an old one."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from berth_connector import identity
from berth_connector.identity import HUB_NAME, MOST_TRUST, Identity, Trust

SECONDS: Final = 15.0
PATIENCE: Final = 60.0
"""Seconds in which the operator should have signed a certificate."""
_AGAIN: Final = 1.0


class HubError(Exception):
    """The hub cannot be reached, or it refuses; the message says why."""


class RefusedError(HubError):
    """The hub refuses for good: the same request will not succeed."""


class _Connection(http.client.HTTPSConnection):
    """A connection to an address, with a server that proves to be the hub."""

    def connect(self) -> None:
        """Connect, and check the certificate for the hub's name in place of the address."""
        http.client.HTTPConnection.connect(self)
        self.sock = self._hub_context.wrap_socket(self.sock, server_hostname=HUB_NAME)

    def __init__(self, host: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=SECONDS, context=context)
        self._hub_context = context


def trust(addresses: Sequence[tuple[str, int]]) -> bytes:
    """Fetch the document of trust from a server that has not proved anything yet. Raises HubError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _ask(addresses, context, "GET", "/v1/trust", None)[1]


def enroll(addresses: Sequence[tuple[str, int]], known: Trust, token: str, request: str) -> Mapping[str, Any]:
    """Exchange a token for a certificate. Raises HubError."""
    return _certificate(addresses, identity.verifying(known), "/v1/enroll", {"token": token, "request": request})


def renew(addresses: Sequence[tuple[str, int]], own: Identity) -> str:
    """Ask for a new certificate, also with one that has expired. Raises HubError, IdentityError."""
    answer = _certificate(addresses, own.context(), "/v1/renew", {})
    return str(answer["certificate"])


def _certificate(
    addresses: Sequence[tuple[str, int]], context: ssl.SSLContext, path: str, body: Mapping[str, str]
) -> Mapping[str, Any]:
    """Ask until the operator has signed: 202 says that it has not yet."""
    until = time.monotonic() + PATIENCE
    while True:
        status, content = _ask(addresses, context, "POST", path, json.dumps(body).encode())
        if status == 200:
            answer = json.loads(content)
            if not isinstance(answer, dict) or not isinstance(answer.get("certificate"), str):
                raise HubError("the hub's answer has no certificate")
            return answer
        if time.monotonic() > until:
            raise HubError(
                "Berth's operator has not signed the certificate: see the Connector's conditions, and try again"
            )
        time.sleep(_AGAIN)


def _ask(
    addresses: Sequence[tuple[str, int]], context: ssl.SSLContext, method: str, path: str, body: bytes | None
) -> tuple[int, bytes]:
    """Ask at each address until one answers. Raises RefusedError for 4xx, HubError where none is well."""
    problem = "no address is given"
    for host, port in addresses:
        connection = _Connection(host, port, context)
        try:
            connection.request(
                method, path, body=body, headers={"Content-Type": "application/json", "Connection": "close"}
            )
            answer = connection.getresponse()
            content = answer.read(MOST_TRUST)
        except (OSError, http.client.HTTPException) as error:
            problem = f"{host}:{port} cannot be asked: {error or type(error).__name__}"
            continue
        finally:
            connection.close()
        if answer.status < 300:
            return answer.status, content
        problem = f"the hub at {host}:{port} answers {answer.status}: {_error(content)}"
        if 400 <= answer.status < 500:
            raise RefusedError(problem)
    raise HubError(problem)


def _error(content: bytes) -> str:
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return "(no reason given)"
