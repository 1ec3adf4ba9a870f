"""The generated CustomResourceDefinitions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from berth_core import crdgen
from berth_core.resources import KINDS, Account, Resource

FORBIDDEN = {"$ref", "anyOf", "title", "const"}


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], f"{path}[]")


def schema_of(kind: type[Resource]) -> dict[str, Any]:
    root: dict[str, Any] = crdgen.definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_structural_and_closed(kind: type[Resource]) -> None:
    for path, node in nodes(schema_of(kind)):
        assert not FORBIDDEN & node.keys(), path
        assert "type" in node or node.get("x-kubernetes-int-or-string"), path


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_spec_and_status_is_described(kind: type[Resource]) -> None:
    root = schema_of(kind)["properties"]
    for part in {"spec", "status"} & root.keys():
        for path, node in nodes(root[part], part):
            for name, child in node.get("properties", {}).items():
                assert child.get("description"), f"{path}.{name}"


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_a_bound(kind: type[Resource]) -> None:
    """But for whole numbers of a status, which count versions of the store."""
    bound = {"string": "maxLength", "array": "maxItems", "integer": "maximum"}
    root = schema_of(kind)["properties"]
    for part in {"spec", "status"} & root.keys():
        for path, node in nodes(root[part], part):
            wanted = "maxProperties" if "additionalProperties" in node else bound.get(node.get("type", "string"))
            if wanted and "enum" not in node and (part, wanted) != ("status", "maximum"):
                assert wanted in node, path


@pytest.mark.parametrize("kind", KINDS)
def test_crds_outlive_the_release(kind: type[Resource]) -> None:
    assert crdgen.definition(kind)["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


WITH_STATUS = [kind for kind in KINDS if "status" in kind.model_fields]
WITH_CONDITIONS = [kind for kind in WITH_STATUS if kind is not Account]
"""An Account's status only holds what is under way for a moment."""


@pytest.mark.parametrize("kind", WITH_STATUS)
def test_status_is_a_subresource(kind: type[Resource]) -> None:
    version = crdgen.definition(kind)["spec"]["versions"][0]
    assert version["subresources"] == {"status": {}}


@pytest.mark.parametrize("kind", KINDS)
def test_columns_are_explained(kind: type[Resource]) -> None:
    version = crdgen.definition(kind)["spec"]["versions"][0]
    assert all(column["description"] for column in version["additionalPrinterColumns"])


@pytest.mark.parametrize("kind", WITH_CONDITIONS)
def test_conditions_merge_by_type(kind: type[Resource]) -> None:
    conditions = schema_of(kind)["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_files_hold_what_the_definitions_say(tmp_path: Path) -> None:
    crdgen.write(tmp_path)
    written = {path.stem: yaml.safe_load(path.read_text()) for path in tmp_path.iterdir()}
    assert written == {kind.PLURAL: crdgen.definition(kind) for kind in KINDS}
    assert all(path.read_text().startswith("# Generated") for path in tmp_path.iterdir())


def test_templates_are_the_same_under_a_value(tmp_path: Path) -> None:
    plain, chart = tmp_path / "crds", tmp_path / "templates" / "crds"
    crdgen.write(plain)
    crdgen.write(chart)
    for path in plain.iterdir():
        assert "{{" not in path.read_text()
        assert (chart / path.name).read_text() == (
            "{{- if .Values.clusterResources.create }}\n" + path.read_text() + "{{- end }}\n"
        )
