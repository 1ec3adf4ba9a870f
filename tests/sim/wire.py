"""Requests and answers at the HTTP boundary: what the fake store and a real API server are both asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from berth_core.kube.types import Object


@dataclass(frozen=True)
class Request:
    """One HTTP request to the cluster's API.

    ``path`` is as :meth:`berth_core.kube.types.Kind.path` makes it, ``query`` as the client sends it, ``sender``
    names the process that asks, for traces.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Object | None = None
    content_type: str = "application/json"
    accept: str = "application/json"
    sender: str = ""
    sent: float = 0.0
    """When the client has sent it, in seconds of the world."""


@dataclass(frozen=True)
class Response:
    """The answer: HTTP status, and an object, a list or a Status."""

    status: int
    body: Object


@dataclass(frozen=True)
class Commit:
    """One change of the store. ``event`` is ADDED, MODIFIED or DELETED; the objects are never mutated afterwards."""

    version: int
    event: str
    plural: str
    object: Object
    before: Object | None
    request: Request | None
    """None for what the store's own controllers do."""
