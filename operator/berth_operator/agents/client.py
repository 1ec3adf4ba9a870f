"""Talks to the agents over mutual TLS 1.3 (docs/explanation/architecture.md, "The agent's protocol").

Connections are kept open and shared; every answer is from an agent whose certificate names the pod and the epoch
that was asked for. Safe for concurrent use by the tasks of one event loop. Whether this process leads is asked again
right before each PUT is sent.
"""

import asyncio
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from berth_core import names
from berth_core.kube.answers import StoppedError
from berth_core.kube.connection import tracing
from berth_operator.agents.certificates import CLIENT_LIFE, Authority
from berth_operator.engine import metrics
from berth_operator.errors import AgentError, StaleError

CONNECT_SECONDS: Final = 1.0
PUSH_SECONDS: Final = 3.0
LISTEN_SECONDS: Final = 5.0
VPN_SECONDS: Final = 5.0
KEEP_OPEN_SECONDS: Final = 1.0
"""An open TLS connection takes half a megabyte, so one is kept only for the request that follows at once: the probe
after a push, which is the last on it."""
RENEW_BEFORE: Final = timedelta(hours=8)
MOST_ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read."""


@dataclass(frozen=True)
class AgentAddress:
    """Which agent: the pod's IP, and the pod's name and the epoch that its certificate must name."""

    ip: str
    pod: str
    epoch: int

    @property
    def url(self) -> str:
        """Base URL."""
        host = f"[{self.ip}]" if ip_address(self.ip).version == 6 else self.ip
        return f"https://{host}:{names.AGENT_PORT}"


@dataclass(frozen=True)
class Push:
    """The desired state of an agent: a stamped ruleset, the keys that may log in, and a notice for the holder."""

    generation: int
    digest: str
    ruleset: str
    keys: tuple[str, ...]
    notice: str = ""
    """For the holder's shell."""
    cut: bool = False
    """Once it is in force, connections that others have opened are ended; an agent of an earlier release ignores it."""


class AgentClient:
    """The operator's side of the protocol."""

    def __init__(self, authority: Authority, before_write: Callable[[], None] | None = None) -> None:
        self._authority = authority
        self._traces = [tracing(before_write)] if before_write is not None else []
        self._context: ssl.SSLContext | None = None
        self._renew_at = datetime.min.replace(tzinfo=UTC)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def push(self, agent: AgentAddress, push: Push, *, seconds: float = PUSH_SECONDS) -> None:
        """Put it in force; returns when the agent says so.

        Raises:
            StaleError: the agent has something newer.
            AgentError: it cannot be reached, is not who it should be, or refuses.

        """
        body = {
            "epoch": agent.epoch,
            "generation": push.generation,
            "ruleset": push.ruleset,
            "authorizedKeys": list(push.keys),
            "notice": push.notice,
            "cut": push.cut,
        }
        started = time.monotonic()
        try:
            status, answer = await self._request("PUT", agent, "/v1/state", body=body, seconds=seconds)
            if status == 409:
                raise StaleError(number(answer, "generation"), str(answer.get("digest") or ""))
            if status != 200:
                raise AgentError(f"the agent answered {status}: {answer.get('error', '')}")
            if (answer.get("generation"), answer.get("digest")) != (push.generation, push.digest):
                raise AgentError("the agent acknowledged another ruleset than was pushed")
        except AgentError:
            metrics.PUSH_FAILURES.inc()
            raise
        metrics.PUSH_SECONDS.observe(time.monotonic() - started)

    async def listening(self, agent: AgentAddress, port: int) -> bool:
        """Wait until a socket listens on the pod's port; False after LISTEN_SECONDS without one."""
        path = f"/v1/listening?port={port}&wait={LISTEN_SECONDS:g}"
        last = {"Connection": "close"}
        status, answer = await self._request("GET", agent, path, seconds=LISTEN_SECONDS + 2, headers=last)
        if status != 200:
            raise AgentError(f"the agent answered {status}: {answer.get('error', '')}")
        return answer.get("listening") is True

    async def vpn(self, agent: AgentAddress) -> tuple[bool, str]:
        """Wait until the VPN serves. Return whether it does, and after VPN_SECONDS the reason that it gives."""
        path = f"/v1/vpn?wait={VPN_SECONDS:g}"
        status, answer = await self._request("GET", agent, path, seconds=VPN_SECONDS + 2)
        if status != 200:
            raise AgentError(f"the agent answered {status}: {answer.get('error', '')}")
        return answer.get("ready") is True, str(answer.get("problem") or "")

    async def refuse(self, agent: AgentAddress, crl: str, revoked: Sequence[str]) -> int:
        """Have the VPN refuse clients from now on; returns, when their sessions are over, how many were ended."""
        body = {"epoch": agent.epoch, "crl": crl, "revoked": list(revoked)}
        status, answer = await self._request("PUT", agent, "/v1/vpn", body=body, seconds=PUSH_SECONDS)
        if status != 200:
            raise AgentError(f"the agent answered {status}: {answer.get('error', '')}")
        return number(answer, "ended")

    async def _request(
        self,
        method: str,
        agent: AgentAddress,
        path: str,
        *,
        seconds: float,
        body: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        session, context = self._connected()
        data = None if body is None else orjson.dumps(body)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        name = names.agent_dns(agent.pod, agent.epoch)
        for attempt in (1, 2):
            try:
                async with (
                    asyncio.timeout(seconds),  # aiohttp's swallows a cancellation that comes at the same moment
                    session.request(
                        method,
                        agent.url + path,
                        data=data,
                        headers=headers,
                        ssl=context,
                        server_hostname=name,
                        timeout=timeout,
                    ) as response,
                ):
                    return response.status, read_answer(await _received(response))
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                # An idle connection that the agent has closed; all requests may be repeated.
                if attempt == 2 or isinstance(error, aiohttp.ClientConnectorError):
                    raise AgentError(f"the agent cannot be reached: {error}") from error
            except (TimeoutError, aiohttp.ClientError) as error:
                _raise_stopped(error)
                raise AgentError(f"the agent cannot be reached: {error or type(error).__name__}") from error
        raise AgentError("the agent cannot be reached")

    def _connected(self) -> tuple[aiohttp.ClientSession, ssl.SSLContext]:
        """Return the session, and a context with a certificate that is good for some hours more."""
        now = datetime.now(UTC)
        if self._context is None or now >= self._renew_at:
            self._context = _context(self._authority, now)
            self._renew_at = now + CLIENT_LIFE - RENEW_BEFORE
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_OPEN_SECONDS)
            self._session = aiohttp.ClientSession(connector=connector, trace_configs=self._traces)
        return self._session, self._context


def read_answer(data: bytes) -> dict[str, Any]:
    """Read the body of an agent's answer. Raises AgentError."""
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise AgentError("the agent's answer is not JSON") from error
    return answer if isinstance(answer, dict) else {}


def number(answer: Mapping[str, Any], name: str) -> int:
    """Return a number of an agent's answer. Raises AgentError."""
    value = answer.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise AgentError(f"the agent's answer has no number `{name}`")
    return value


async def _received(response: aiohttp.ClientResponse) -> bytes:
    data = b""
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > MOST_ANSWER:
            raise AgentError(f"the agent's answer is longer than {MOST_ANSWER} bytes")
    return data


def _raise_stopped(error: Exception) -> None:
    """Raise the reason why a request was stopped before it was sent, if that is what an error of aiohttp's is about."""
    if isinstance(error.__cause__, StoppedError):
        raise error.__cause__.reason


def _context(authority: Authority, now: datetime) -> ssl.SSLContext:
    pair = authority.operator(now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=authority.pem)
    # The ssl module loads key pairs from files only. This one exists for a moment, in memory where the system can.
    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 (a file with a random name and mode 0600)
    with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".pem") as file:
        file.write(pair.certificate + pair.key)
        file.flush()
        context.load_cert_chain(Path(file.name))
    return context
