"""Writes the CustomResourceDefinitions from the typed resources: ``python -m berth_core.crdgen DIR...``."""

import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import models_json_schema

from berth_core.kube.types import Object
from berth_core.names import GROUP, VERSION
from berth_core.resources import KINDS, Resource

HEADER = "# Generated from core/berth_core/resources by `make generate`. Edit there.\n"
GUARD = "{{- if .Values.clusterResources.create }}\n"
GUARD_END = "{{- end }}\n"
DROPPED = {"title", "additionalProperties", "const"}
LONGEST_TEXT = 16_384
LONGEST_TIME = 64
LONGEST_QUANTITY = 64
MOST_KEYS = 128
NO_LIST = {"minItems": 1, "maxItems": 0}
"""Keywords that no list satisfies: the API server accepts a list in place of a string with a format."""
LARGEST = 2**53 - 1
"""Default bound of whole numbers. The default bounds are in the CRDs only: objects beyond them stay readable.

Whole numbers of a status have no bound: versions of the store and numbers of rulesets go up to 63 bits.
"""


@cache
def definition(kind: type[Resource]) -> Object:
    """Return the CustomResourceDefinition of a kind: the same object each time, to be copied before a change."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.PLURAL}.{GROUP}",
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.KIND,
                "listKind": f"{kind.KIND}List",
                "plural": kind.PLURAL,
                "singular": kind.KIND.lower(),
                "shortNames": [kind.SHORT],
                "categories": ["berth"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    **({"subresources": {"status": {}}} if "status" in kind.model_fields else {}),
                    "additionalPrinterColumns": [c.wire() for c in kind.COLUMNS],
                    "selectableFields": [{"jsonPath": path} for path in kind.SELECTABLE],
                    "schema": {"openAPIV3Schema": _root_schema(kind)},
                }
            ],
        },
    }


def _root_schema(kind: type[Resource]) -> Object:
    _, schemas = models_json_schema([(kind, "validation")], by_alias=True)
    definitions = schemas["$defs"]
    root = definitions[kind.__name__]["properties"]
    schema: Object = {
        "type": "object",
        "description": (kind.__doc__ or "").strip(),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _bounded(_structural(root["spec"], definitions), LARGEST),
        },
    }
    if "status" in root:
        schema["properties"]["status"] = _bounded(_structural(root["status"], definitions), None)
    for rule in kind.RULES:
        place = schema
        for name in rule.at.split(".") if rule.at else ():
            place = place["properties"][name]
        place.setdefault("x-kubernetes-validations", []).append(rule.wire())
    return schema


def _structural(node: Any, definitions: Object) -> Any:
    """Turn pydantic's JSON schema into the structural form: no references, no null, no unions."""
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[1]]
        node = target | {k: v for k, v in node.items() if k != "$ref"}
    if "anyOf" in node:
        kinds = [option for option in node["anyOf"] if option.get("type") != "null"]
        rest = {k: v for k, v in node.items() if k not in ("anyOf", "default")}
        if {k.get("type") for k in kinds} == {"string", "integer"}:
            return {k: v for k, v in rest.items() if k not in DROPPED} | {"x-kubernetes-int-or-string": True}
        return _structural(kinds[0] | rest, definitions)
    out = {k: v for k, v in node.items() if k not in DROPPED and not (k == "default" and v is None)}
    if "properties" in out:
        out["properties"] = {k: _structural(v, definitions) for k, v in out["properties"].items()}
    if isinstance(node.get("additionalProperties"), dict):
        out["additionalProperties"] = _structural(node["additionalProperties"], definitions)
    if out.get("type") == "array":
        out["items"] = _structural(out["items"], definitions)
        out |= _list_type(out["items"])
    if out.get("type") == "integer":
        out["format"] = "int64"
    elif out.get("type") == "string" and "format" in out:
        out |= NO_LIST
    return out


def _bounded(node: Object, largest: int | None) -> Object:
    """Add default bounds to fields without bounds."""
    out = dict(node)
    if "x-kubernetes-int-or-string" in node:
        out.setdefault("maxLength", LONGEST_QUANTITY)
    elif node["type"] == "string" and "enum" not in node:
        out.setdefault("maxLength", LONGEST_TIME if node.get("format") == "date-time" else LONGEST_TEXT)
    elif node["type"] == "integer" and largest is not None:
        out.setdefault("maximum", largest)
    elif node["type"] == "array":
        out["items"] = _bounded(node["items"], largest)
    elif "additionalProperties" in node:
        out.setdefault("maxProperties", MOST_KEYS)
        out["additionalProperties"] = _bounded(node["additionalProperties"], largest)
    elif "properties" in node:
        out["properties"] = {name: _bounded(child, largest) for name, child in node["properties"].items()}
    return out


def _list_type(items: Object) -> Object:
    """Give lists of conditions the merge key that the API conventions ask for."""
    if "lastTransitionTime" in items.get("properties", {}):
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    return {}


def write(folder: Path) -> None:
    """Write one file per kind into the folder. In a chart's templates, a value of the chart guards the file."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        text = HEADER + yaml.safe_dump(definition(kind), sort_keys=False, width=110)
        if "templates" in folder.parts:
            text = GUARD + text + GUARD_END
        (folder / f"{kind.PLURAL}.yaml").write_text(text)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        write(Path(argument))
