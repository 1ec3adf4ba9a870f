"""Refusals, as the Status bodies of a real API server."""

from dataclasses import dataclass
from typing import Final

from berth_core.kube.types import Object

from ..wire import Response
from .applying import shown
from .kinds import Resource
from .owners import Manager, Path, shape_of

REASONS: Final = {400: "BadRequest", 404: "NotFound", 405: "MethodNotAllowed", 409: "Conflict", 410: "Expired"}
MODIFIED: Final = "the object has been modified; please apply your changes to the latest version and try again"


@dataclass(frozen=True)
class Cause:
    """One error of a field: reason as in metav1.CauseType, the field's path, a sentence."""

    reason: str
    field: str
    message: str


class Refused(Exception):  # noqa: N818 (it is an answer)
    """The API server refuses the request."""

    def __init__(
        self, code: int, reason: str, message: str, details: Object | None = None, metadata: Object | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.details, self.metadata = details, metadata or {}

    def response(self) -> Response:
        """Return the Status."""
        body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": self.metadata, "status": "Failure"}
        body |= {"message": self.message} | ({"reason": self.reason} if self.reason else {})
        if self.details:
            body["details"] = self.details
        return Response(self.code, body | {"code": self.code})


def bad_request(message: str) -> Refused:
    """400."""
    return Refused(400, "BadRequest", message)


def internal(message: str) -> Refused:
    """500."""
    return Refused(500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]})


def untyped(message: str) -> Refused:
    """500 without a reason: an object that is stored is not of its schema's types."""
    return Refused(500, "", message)


def no_such_path() -> Refused:
    """404 for what is not served at all."""
    return Refused(404, "NotFound", "the server could not find the requested resource", {})


def not_found(resource: Resource, name: str) -> Refused:
    """404."""
    return Refused(404, "NotFound", f'{resource.qualified} "{name}" not found', _details(resource, name))


def already_exists(resource: Resource, name: str) -> Refused:
    """409 of a create."""
    return Refused(409, "AlreadyExists", f'{resource.qualified} "{name}" already exists', _details(resource, name))


def conflict(resource: Resource, name: str, why: str = MODIFIED, *, kind: str = "") -> Refused:
    """409 of a write; that of a DELETE names the kind, and not the resource."""
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    details = _details(resource, name)
    if kind:
        details["kind"] = kind
        if resource.plural == "events":  # they are deleted as those of the core
            del details["group"]
    return Refused(409, "Conflict", message, details)


def conflicts(resource: Resource, name: str, found: list[tuple[Manager, Path]]) -> Refused:
    """409 of an apply without force: other managers own the fields."""
    shape = shape_of(resource)
    causes = [
        Cause("FieldManagerConflict", shown(path, shape), f'conflict with "{manager[0]}"') for manager, path in found
    ]
    text = f"Apply failed with {len(found)} conflicts"
    return Refused(409, "Conflict", text, {"causes": [_cause(cause) for cause in causes]})


def forbidden(resource: Resource, name: str, why: str, causes: tuple[Cause, ...] = ()) -> Refused:
    """403."""
    details = _details(resource, name)
    if causes:
        details["causes"] = [_cause(cause) for cause in causes]
    return Refused(403, "Forbidden", f'{resource.qualified} "{name}" is forbidden: {why}', details)


def expired(following: str) -> Refused:
    """410: the continue token is too old; ``following`` is one that goes on, as things are by then."""
    message = "The provided continue parameter is too old to display a consistent list result"
    return Refused(410, "Expired", message, metadata={"continue": following})


def invalid(resource: Resource, name: str, causes: list[Cause], *, kind: str = "") -> Refused:
    """422."""
    shown = ", ".join(f"{cause.field}: {cause.message}" for cause in causes)
    if len(causes) > 1:
        shown = f"[{shown}]"
    group = "" if resource.plural == "events" else resource.group  # they are validated as those of the core
    details: Object = {"name": name, "group": group, "kind": kind or resource.kind}
    details = {key: value for key, value in details.items() if value}
    details["causes"] = [_cause(cause) for cause in causes]
    kind = f"{resource.kind}.{group}" if group else resource.kind
    return Refused(422, "Invalid", f'{kind} "{name}" is invalid: {shown}', details)


def _cause(cause: Cause) -> Object:
    return {"reason": cause.reason, "message": cause.message, "field": cause.field}


def _details(resource: Resource, name: str) -> Object:
    details = {"name": name, "group": resource.group, "kind": resource.plural}
    return {key: value for key, value in details.items() if value}
