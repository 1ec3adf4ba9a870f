"""Turns answers of the cluster's API into objects, or into the errors of :mod:`berth_core.kube.errors`."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import orjson

from berth_core.kube import errors

_NOT_YET: Final = re.compile(r'forbidden: (User ".*" cannot |not yet ready to handle request)')
"""Messages of the authorizer (k8s.io/apiserver, ``responsewriters.Forbidden``), and of admission before it is ready."""


class StoppedError(Exception):
    """A write was stopped before it was sent. aiohttp wraps this error: it becomes the cause of another one."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class translated:  # noqa: N801 (reads as a statement)
    """Turn failures of the connection into UnavailableError, and re-raise the reason why a write was stopped."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None and isinstance(error.__cause__, StoppedError):
            raise error.__cause__.reason
        if isinstance(error, asyncio.TimeoutError | aiohttp.ClientError | OSError):
            raise errors.UnavailableError(f"the cluster's API cannot be reached: {error or type(error).__name__}")


def object_of(data: bytes) -> dict[str, Any]:
    """Parse an answer, or a line of a watch, as an object. Pure.

    Raises:
        berth_core.kube.errors.ClusterError: it is no object: something in front of the API server has answered.

    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        excerpt = data[:200].decode(errors="replace")
        raise errors.ClusterError(f"this is no answer of the cluster's API, look for a proxy before it: {excerpt!r}")
    return value


def error_of(status: int, data: bytes, headers: Mapping[str, str]) -> errors.ClusterError:
    """Return the error for an answer; ``data`` is its body, a Status of the API server or anything else. Pure."""
    try:
        parsed = object_of(data)
    except errors.ClusterError:
        parsed = {"message": data[:200].decode(errors="replace")}
    try:
        retry_after = float(headers.get("Retry-After", "1"))
    except ValueError:
        retry_after = 1.0
    return from_status(status, parsed, retry_after)


def from_status(code: int, status: dict[str, Any], retry_after: float) -> errors.ClusterError:
    """Return the error for a Status of the API server; ``retry_after`` is in seconds. Pure."""
    message = str(status.get("message") or status.get("reason") or f"HTTP status {code}")
    details = status.get("details") or {}
    if code == 409:
        kind = errors.AlreadyExistsError if status.get("reason") == "AlreadyExists" else errors.ConflictError
        return kind(message, status=code, details=details)
    if code == 429 or code >= 500:
        return errors.UnavailableError(message, status=code, retry_after=retry_after)
    if code == 401 or (code == 403 and _NOT_YET.search(message)):
        return errors.NoRightError(message, status=code, retry_after=retry_after)
    by_code: dict[int, type[errors.ClusterError]] = {
        400: errors.InvalidError,
        403: errors.ForbiddenError,
        404: errors.NotFoundError,
        410: errors.GoneError,
        422: errors.InvalidError,
    }
    return by_code.get(code, errors.ClusterError)(message, status=code, details=details)
