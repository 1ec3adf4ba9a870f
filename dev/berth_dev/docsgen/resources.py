"""Writes the page of the custom resources from their definitions: ``python -m berth_dev.docsgen.resources FILE``."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from berth_core.crdgen import definition
from berth_core.resources import KINDS
from berth_dev.docsgen.tables import table

Json = dict[str, Any]

HEAD: Final = """# The custom resources

Made from the resources' models by `make generate`; `kubectl explain` says the same. All are in the group \
`berth.dev/v1alpha1`, in the workspace namespaces or the namespace for access.
"""


def page() -> str:
    """Return the page in Markdown."""
    lines = [HEAD]
    for kind in KINDS:
        lines += section(definition(kind))
    return "\n".join(lines).rstrip() + "\n"


def section(crd: Json) -> Iterator[str]:
    """Yield the lines about one kind: its purpose, its fields, and what the API server refuses."""
    names, version = crd["spec"]["names"], crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    yield f"## {names['kind']}\n"
    yield f"{schema['description']} Short name: `{names['shortNames'][0]}`.\n"
    fields = [row for part in ("spec", "status") if part in schema["properties"] for row in rows(schema, part)]
    yield from table(("Field", "Type", "Meaning"), fields)
    rules = [(f"`{place}`" if place else "the whole object", text) for place, text in refusals(schema, "")]
    yield from table(("The API server checks", "It refuses with"), rules)


def rows(schema: Json, name: str, above: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield the field and those within it, each with its path, type and meaning."""
    field, path = schema["properties"][name], f"{above}{name}"
    needed = ", required" if name in schema.get("required", ()) else ""
    yield f"`{path}`", f"{sort(field)}{needed}", field.get("description", "")
    inner, within = field, f"{path}."
    if field.get("type") == "array":
        inner, within = field["items"], f"{path}[]."
    elif "additionalProperties" in field:
        inner, within = field["additionalProperties"], f"{path}.*."
    for child in inner.get("properties", ()):
        yield from rows(inner, child, within)


def sort(field: Json) -> str:
    """Name the type of a field with its values, its least and its default."""
    if "x-kubernetes-int-or-string" in field:
        return "quantity"
    if "enum" in field:
        text = ", ".join(f"`{value}`" for value in field["enum"])
    elif field["type"] == "array":
        text = f"list of {sort(field['items'])}"
    elif "additionalProperties" in field:
        text = f"map to {sort(field['additionalProperties'])}"
    elif field.get("format") == "date-time":
        text = "time"
    else:
        text = field["type"]
    if "minimum" in field:
        text += f" from {field['minimum']} on"
    return text + (
        f", default `{json.dumps(field['default'])}`" if field.get("default") not in (None, "", [], {}) else ""
    )


def refusals(schema: Json, path: str) -> Iterator[tuple[str, str]]:
    """Yield each rule's place and message."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield path, rule["message"]
    for name, field in schema.get("properties", {}).items():
        yield from refusals(field, f"{path}.{name}" if path else name)
    if "items" in schema:
        yield from refusals(schema["items"], f"{path}[]")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
