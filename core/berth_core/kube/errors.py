"""Errors between Berth and the cluster's API. One tree, so that callers catch as much or as little as they need."""

from typing import Any


class ClusterError(Exception):
    """The API server refused, or could not be reached. ``status`` is the HTTP status, 0 where there was none."""

    def __init__(self, message: str, *, status: int = 0, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.details = details or {}


class NotFoundError(ClusterError):
    """404: no such object (or its kind is not installed)."""


class ConflictError(ClusterError):
    """409: somebody wrote in between, or another manager owns the field."""


class AlreadyExistsError(ConflictError):
    """409 on create: the name is taken."""


class GoneError(ClusterError):
    """410: the resourceVersion is too old to watch from; list again."""


class InvalidError(ClusterError):
    """400 or 422: the object breaks the schema, a CEL rule or an admission policy; the message says how."""


class ForbiddenError(ClusterError):
    """403 of an admission plugin: a policy, a quota or a webhook refuses the request."""


class UnavailableError(ClusterError):
    """429, 5xx, a time-out or no connection. ``retry_after`` is in seconds."""

    def __init__(self, message: str, *, status: int = 0, retry_after: float = 1.0) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after


class ContendedError(UnavailableError):
    """Others kept writing the same object between a writer's reads and writes."""


class NoRightError(ForbiddenError, UnavailableError):
    """401, or 403 of the authorizer: this identity lacks a right, or the API server cannot look it up yet.

    Only a later answer shows which of the two it was: an API server serves after a start before it knows all roles,
    and knows no ServiceAccount while it has lost its store.
    """


class UnreadableError(ClusterError):
    """An object exists that this version of Berth cannot read: its schema was another when the object was stored."""

    def __init__(self, kind: str, metadata: dict[str, Any], why: str) -> None:
        self.kind = kind
        self.namespace, self.name = str(metadata.get("namespace", "")), str(metadata["name"])
        self.version = str(metadata.get("resourceVersion", ""))
        self.why = why
        super().__init__(f"{kind} {self.name} cannot be read: {why}. Correct the object, or delete it")
