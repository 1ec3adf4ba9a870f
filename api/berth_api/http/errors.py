"""Refusals of requests: one tree of errors, and the one handler that turns them into answers.

Every refusal is JSON with ``error_message``. Old clients read ``result_message`` where something is busy and ``error``
where ``POST /new…`` fails, so the same text stands there too.
"""

import math
import re
from typing import Final, Self

import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from berth_api.http.answers import JSON
from berth_core.kube import errors as cluster
from berth_core.names import GROUP
from berth_core.reading import report

log = structlog.get_logger(__name__)

ALL_BUSY = "All matching workspace deployments are busy. Try again later."
INSTANCE_BUSY = "This instance is busy. Try again later."
FULL_SECONDS: Final = 60.0
"""Seconds until a retry where a quota is full."""
_BEYOND: Final = re.compile(r"'berth-allowances'.* denied request: (?P<why>.+)", re.DOTALL)
_EXCEEDED: Final = re.compile(r"exceeded quota: (?P<quota>[^,]+), requested: (?P<requested>.+?)(?:, used: |$)")


class ApiError(Exception):
    """Base of all refusals; ``retry_after`` is in seconds."""

    status: int = 400

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class BadRequestError(ApiError):
    """400: the request is malformed, or not possible in this state."""


class UnrecognizedError(BadRequestError):
    """400: no such route, method, or form of identifier."""

    def __init__(self) -> None:
        super().__init__("unrecognized command")


class WrongTokenError(ApiError):
    """400: a valid token is needed, and there is none."""

    def __init__(self) -> None:
        super().__init__("wrong authorization token")


class NotPermittedError(ApiError):
    """403: the access rules do not permit it to this user."""

    status = 403


class MissingError(ApiError):
    """404: the object does not exist, or this caller may not know of it."""

    status = 404


class NotAcceptableError(ApiError):
    """406: a version that is not served."""

    status = 406


class TakenError(ApiError):
    """409: the name belongs to somebody else, or to something else."""

    status = 409


class UnderWayError(ApiError):
    """409: the first request with this Idempotency-Key has not been answered yet."""

    status = 409

    def __init__(self, *, retry_after: float) -> None:
        super().__init__(
            "the first request with this Idempotency-Key is under way. Try again later.", retry_after=retry_after
        )


class KeyReusedError(ApiError):
    """422: the Idempotency-Key belongs to another request."""

    status = 422

    def __init__(self) -> None:
        super().__init__("Idempotency-Key was used for another request")


class TooManyKeysError(ApiError):
    """429: the user has the greatest allowed number of records of requests with a key, and none may be dropped."""

    status = 429

    def __init__(self, *, retry_after: float) -> None:
        super().__init__(
            "too many requests with an Idempotency-Key in 24 hours. Send it without one, or try again later.",
            retry_after=retry_after,
        )


class FullError(ApiError):
    """429: a bound on objects of that kind is reached, until one is deleted or the bound is raised."""

    status = 429

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after=FULL_SECONDS)

    @classmethod
    def of(cls, refusal: str) -> Self | None:
        """Read the cluster's refusal to make an object; None where its reason is no bound on their number."""
        if beyond := _BEYOND.search(refusal):
            return cls(beyond["why"])
        match = _EXCEEDED.search(refusal)
        if match is None:
            return None
        counted = (part.partition("=")[0] for part in match["requested"].split(","))
        kinds = " and ".join(_counted(resource) for resource in counted)
        return cls(
            f"the cluster keeps no more {kinds} (quota {match['quota']}): delete some that are not needed any more, or"
            " ask an administrator for more."
        )


def _counted(resource: str) -> str:
    return resource.removeprefix("count/").removesuffix(f".{GROUP}")


class TooLargeError(ApiError):
    """413: the body is too large."""

    status = 413


class BusyError(ApiError):
    """503: in use; the text also stands in ``result_message``."""

    status = 503


class AwayError(ApiError):
    """503: something that the answer depends on is unavailable."""

    status = 503

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message, retry_after=retry_after)


def answer(error: ApiError, path: str) -> Response:
    """Shape the answer for a refusal of a request to ``path``."""
    fields = {"error_message": error.message}
    if isinstance(error, BusyError):
        fields["result_message"] = error.message
    elif path == "/new" or path.startswith("/new/"):
        fields["error"] = error.message
    headers = {"Retry-After": str(max(1, math.ceil(error.retry_after)))} if error.retry_after is not None else None
    return JSON(fields, status_code=error.status, headers=headers)


def internal(request_id: str) -> Response:
    """Shape the answer for an unexpected failure."""
    return JSON({"error_message": "internal error", "request_id": request_id}, status_code=500)


async def handle(request: Request, error: Exception) -> Response:
    """Answer any error of the tree, of the router, or of the cluster."""
    path = request.scope["path"]
    if isinstance(error, ApiError):
        return answer(error, path)
    if isinstance(error, HTTPException | RequestValidationError):
        return _unrecognized(request)
    if isinstance(error, cluster.ConflictError | cluster.ContendedError):
        log.warning("write conflict", error=error.message)
        return answer(AwayError("others are changing the same thing. Try again."), path)
    if isinstance(error, cluster.UnavailableError):
        log.warning("cluster unavailable", error=error.message, status=error.status)
        return answer(AwayError("the cluster cannot be reached. Try again later.", retry_after=error.retry_after), path)
    if isinstance(error, cluster.ForbiddenError):
        # A policy, a quota or a webhook: it may permit later what it refuses now, and this process has no fault.
        log.error("cluster refused", error=error.message)
        if (full := FullError.of(error.message)) is not None:
            return answer(full, path)
        return answer(AwayError("the cluster does not permit it at the moment. Try again later."), path)
    if isinstance(error, cluster.UnreadableError):
        report(error)
        return answer(AwayError("something that this needs cannot be read: ask an administrator."), path)
    log.error("cluster refused", error=str(error), kind=type(error).__name__)
    return internal(request.state.request_id)


def _unrecognized(request: Request) -> Response:
    response = answer(UnrecognizedError(), request.scope["path"])
    methods = allowed_methods(request)
    if methods and request.method not in methods:
        response.headers["Allow"] = ", ".join(sorted(methods))
    return response


def allowed_methods(request: Request) -> set[str]:
    """Methods that the request's path is served with; empty where it is unknown."""
    methods: set[str] = set()
    # The application itself has routes beside those of the routers, such as /docs.
    for route in (*request.app.state.known_routes, *request.app.routes):
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    if "GET" in methods:
        methods.add("HEAD")
    return methods | {"OPTIONS"} if methods else methods
