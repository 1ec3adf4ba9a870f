"""Writes the page of the HTTP API from its OpenAPI document: ``python -m berth_dev.docsgen.apipage FILE``."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from berth_api.app import make_app
from berth_api.config import from_environment
from berth_dev.docsgen.tables import table

Json = dict[str, Any]

INTRODUCTION = (
    "# The HTTP API\n\n"
    "Made from the API's OpenAPI document by `make generate`; a running API serves the document at `/openapi.json`"
    " and a page of it at `/docs`.\n\n"
    "Tokens go in `Authorization: Bearer …` ([tokens.md](../how-to/tokens.md)). Bodies are JSON objects, whatever their"
    " `Content-Type` says; no body is `{}`. A refusal has `error_message`; where something is busy the same text is in"
    " `result_message`, where `POST /new…` fails also in `error`. A POST but `…/ka` may carry an `Idempotency-Key`. How"
    " often one may ask is in [rate-limits.md](rate-limits.md).\n"
)
EVERYWHERE = ("406", "413", "422", "429", "500")
"""Answers that all routes share; the page has them once, above the routes."""


def page(document: Json) -> str:
    """Return the page in Markdown. Pure."""
    operations = list(_operations(document))
    lines = [INTRODUCTION, *_shared(operations)]
    for tag in dict.fromkeys(operation["tags"][0] for _, _, operation in operations):
        lines.append(f"## {tag.capitalize()}\n")
        for path, method, operation in operations:
            if operation["tags"][0] == tag:
                lines += _operation(path, method, operation, document)
    lines += ["## Bodies\n"]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += _schema(name, schema)
    return "\n".join(lines).rstrip() + "\n"


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def _shared(operations: list[tuple[str, str, Json]]) -> Iterator[str]:
    yield "Any route may answer:\n"
    texts = {
        status: operation["responses"][status]["description"]
        for status in EVERYWHERE
        for _, _, operation in reversed(operations)
        if status in operation["responses"]
    }
    yield from table(("Status", "When"), texts.items())


def _operation(path: str, method: str, operation: Json, document: Json) -> Iterator[str]:
    yield f"### {method} {path}\n"
    yield f"{operation['summary']}. {operation.get('description', '')} {_who(operation)}\n"
    parameters = [p for p in operation.get("parameters", []) if p["name"] != "Idempotency-Key"]
    rows = ((f"`{one['name']}`", one["in"], one.get("description", "")) for one in parameters)
    yield from table(("Parameter", "In", "Meaning"), rows)
    if body := operation.get("requestBody"):
        yield f"Body: {_kind(body['content']['application/json']['schema'], document)}.\n"
    answers = ((s, _answer(r, document)) for s, r in operation["responses"].items() if s not in EVERYWHERE)
    yield from table(("Status", "Answer"), answers)


def _who(operation: Json) -> str:
    security = operation.get("security")
    if not security:
        return "Needs no token."
    return "A token is not needed, and makes a difference." if {} in security else "Needs a token."


def _answer(response: Json, document: Json) -> str:
    schema = response.get("content", {}).get("application/json", {}).get("schema") or {}
    kind = _kind(schema, document) if schema else ""
    text = response["description"]
    if text == "Successful Response":
        return kind or "An empty body."
    return text if kind in ("", "[Refusal](#refusal)") else f"{text}: {kind}"


def _kind(schema: Json, document: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_kind(option, document) for option in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        inner = schema.get("items") or schema.get("prefixItems", [{}])[0]
        return f"list of {_kind(inner, document)}" if inner else "list"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'], document)} by id"
    plain = str(schema.get("type") or "object")
    return f"{plain} ({schema['format']})" if "format" in schema else plain


def _schema(name: str, schema: Json) -> Iterator[str]:
    yield f"### {name}\n"
    yield f"{schema.get('description', '')}\n"
    required = set(schema.get("required", ()))
    rows = (
        (
            f"`{field}`",
            _kind(inner, schema) + ("" if field in required else ", may be absent"),
            inner.get("description", ""),
        )
        for field, inner in schema.get("properties", {}).items()
    )
    yield from table(("Field", "Type", "Meaning"), rows)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(make_app(from_environment({})).openapi()))
