"""Makes one probe: a TCP connection, or an HTTP request over one. Nothing that a machine sends is kept."""

import asyncio
import errno
import os
import re
import ssl
from typing import Final

from berth_operator.presence.decide import Outcome
from berth_operator.presence.target import Target

STALLED_SECONDS: Final = 1.0
"""A time-out that comes so late says that this process stood still, and nothing of the machine."""
LINE_BYTES: Final = 1024
"""The longest status line that is read; nothing after it is."""
_OWN_LACK: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""Errors that come of this process's means."""
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")


async def ask(target: Target, seconds: float) -> Outcome | None:
    """Probe for at most so many seconds; None where the outcome says nothing of the machine."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(seconds):
            return await (_connected(target) if target.request is None else _requested(target))
    except TimeoutError:
        if loop.time() - began > seconds + STALLED_SECONDS:
            return None
        return Outcome(answered=False, why=f"nothing came within {seconds:g} s")
    except ssl.SSLError as error:
        return Outcome(answered=False, why=f"TLS failed: {error.reason or type(error).__name__}"[:200])
    except OSError as error:
        if error.errno in _OWN_LACK:
            return None
        # asyncio's own words have the address in them, which the message has already.
        return Outcome(answered=False, why=os.strerror(error.errno).lower() if error.errno else type(error).__name__)
    except ValueError:  # a line without an end
        return Outcome(answered=False, why="the answer is no HTTP")


async def _connected(target: Target) -> Outcome:
    _, writer = await asyncio.open_connection(target.host, target.port)
    writer.transport.abort()
    return Outcome(answered=True)


async def _requested(target: Target) -> Outcome:
    request = target.request
    if request is None:
        raise RuntimeError("only a target with a request is asked by HTTP")
    context = _unverified() if request.tls else None
    reader, writer = await asyncio.open_connection(target.host, target.port, ssl=context, limit=LINE_BYTES)
    try:
        lines = (
            f"GET {request.path} HTTP/1.1",
            f"Host: {target.authority}",
            "User-Agent: berth-health",
            "Accept: */*",
            "Connection: close",
        )
        writer.write("\r\n".join((*lines, "", "")).encode())
        return _judged(await reader.readline())
    finally:
        writer.transport.abort()


def _judged(line: bytes) -> Outcome:
    """Judge the first line of an answer. A redirect counts, and is not followed."""
    match = _STATUS.fullmatch(line)
    if match is None:
        return Outcome(answered=False, why="the answer is no HTTP" if line else "the connection was closed")
    status = int(match[1])
    return Outcome(answered=200 <= status < 400, why="" if 200 <= status < 400 else f"status {status}")


def _unverified() -> ssl.SSLContext:
    """TLS without a look at the certificate: machines sign their own, and nothing secret is said or heard."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
