"""The OpenAPI document: FastAPI's findings in the routes, and facts that hold for all of them."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from berth_api.config import Config
from berth_api.http import requests
from berth_api.http.bodies import Bound, takes_nothing

Json = dict[str, Any]
Call = Callable[..., Any]

REFERENCE: Final = "#/components/schemas/{model}"
REFUSAL: Final = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
TOKEN: Final = {"HTTPBearer": list[str]()}
UNLIMITED: Final = frozenset({"/healthz", "/readyz", "/instance/{instance_id}/ka"})
SERVICE: Final = frozenset({"/healthz", "/readyz"})
KEYLESS: Final = frozenset({"/instance/{instance_id}/ka"})
"""POSTs that are idempotent by themselves: no record is kept of them, whatever key they carry."""
EVERYWHERE: Final = {
    "X-Request-Id": "Id of the request, as logs have it.",
    "X-API-Version": "The version that answers.",
}
LIMITED: Final = {
    "X-RateLimit-Limit": "Requests in a window.",
    "X-RateLimit-Remaining": "Requests left, always less than the limit.",
    "X-RateLimit-Reset": "When the next window begins, in seconds since the Epoch.",
    "RateLimit-Policy": "The same as a structured field.",
    "RateLimit": "The same as a structured field.",
}
HEADERS: Final = {
    name: {"description": text, "schema": {"type": "string"}} for name, text in (EVERYWHERE | LIMITED).items()
} | {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[!-~][ -~]{0,254}$"},
    "description": "The same key from the same user within 24 hours gets the first answer again.",
}


class Application(FastAPI):
    """FastAPI with this document instead of its own."""

    def __init__(self, config: Config, *, need_token: frozenset[Call], know_caller: Call, **settings: Any) -> None:
        """``need_token`` are dependencies of routes that refuse a request without a token.

        ``know_caller`` is the dependency of routes to which a token makes a difference.
        """
        super().__init__(**settings)
        self.config = config
        self.need_token = need_token
        self.know_caller = know_caller

    def openapi(self) -> Json:
        """Return the document, made at the first call."""
        if self.openapi_schema is None:
            self.openapi_schema = describe(self)
        return self.openapi_schema


def describe(app: Application) -> Json:
    """Make the document of an application."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    schemas = document["components"]["schemas"]
    document["components"]["headers"] = HEADERS
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for route in _routes(app):
        for method in sorted(route.methods or ()):
            operation = document["paths"][route.path_format][method.lower()]
            _describe_body(operation, route, schemas)
            _complete(operation, route, method, app)
    return document


def _routes(app: FastAPI) -> Iterator[APIRoute]:
    for route in app.state.known_routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            yield route


def _describe_body(operation: Json, route: APIRoute, schemas: Json) -> None:
    """Describe the JSON body that a dependency of the route reads; it is required where no body is refused."""
    for call in _calls(route.dependant):
        if isinstance(call, Bound):
            schema = call.model.model_json_schema(ref_template=REFERENCE)
            schemas |= schema.pop("$defs", {}) | {call.model.__name__: schema}
            reference = {"$ref": REFERENCE.format(model=call.model.__name__)}
            content = {"application/json": {"schema": reference}}
            operation["requestBody"] = {"required": not takes_nothing(call.model), "content": content}


def _complete(operation: Json, route: APIRoute, method: str, app: Application) -> None:
    path, responses = route.path_format, operation["responses"]
    if responses.get("422", {}).get("description") == "Validation Error":
        del responses["422"]
    _secure(operation, route, app)
    _describe_path(operation, route)
    if path not in SERVICE:
        refusals = {"400": "unrecognized command", "406": "No version of those asked for is served."}
        if TOKEN in operation.get("security", []) and {} not in operation["security"]:
            refusals["400"] = "wrong authorization token"
        if path not in UNLIMITED:
            refusals[str(app.config.rate_limit.refusal_status)] = "Too many requests in this window."
        if method in {"POST", "PATCH"}:
            refusals["413"] = f"The body is larger than {requests.LARGEST_BODY} bytes."
        if method == "POST":
            refusals |= {
                "429": "Too many requests in this window, or the cluster keeps no more of what is asked for.",
            }
            if path not in KEYLESS:
                operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
                refusals |= {
                    "409": "A request with this Idempotency-Key is under way.",
                    "422": "The Idempotency-Key was used for another request.",
                }
        refusals |= {"500": "internal error", "503": "The cluster is out of reach or overloaded."}
        for status, text in refusals.items():
            responses.setdefault(status, {"description": text, "content": REFUSAL})
    for status, response in responses.items():
        headers = [*EVERYWHERE, *(() if path in UNLIMITED else LIMITED)]
        if status in {"429", "503"} and path not in SERVICE:
            headers.append("Retry-After")
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    operation["responses"] = dict(sorted(responses.items()))


def _secure(operation: Json, route: APIRoute, app: Application) -> None:
    """Say whether a token is needed, or only makes a difference."""
    calls = set(_calls(route.dependant))
    if calls & app.need_token:
        operation["security"] = [TOKEN]
    elif app.know_caller in calls:
        operation.setdefault("security", [TOKEN])
        operation["security"] = [{}, *operation["security"]]


def _calls(dependant: Dependant) -> Iterator[Any]:
    for needed in dependant.dependencies:
        yield needed.call
        yield from _calls(needed)


def _describe_path(operation: Json, route: APIRoute) -> None:
    for parameter in operation.get("parameters", []):
        convertor = route.param_convertors.get(parameter["name"])
        if parameter["in"] == "path" and convertor is not None:
            parameter["schema"] = {"type": "string", "pattern": f"^{convertor.regex}$"}
