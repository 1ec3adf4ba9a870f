"""CRDs as an earlier version of Berth could have had them: they hold for nothing but the types of fields."""

import copy
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import yaml

from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import Asking, asking
from berth_dev.paths import REPOSITORY

HELD: Final = (
    "enum",
    "format",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "x-kubernetes-validations",
)
_FOLDER: Final = REPOSITORY / "crds"
_APPLY: Final = ("apply", "--server-side", "--force-conflicts")
"""Forced: helm has the kinds where the chart is installed."""
SECONDS: Final = 60.0
"""Time for the API server to hear of a schema."""


@contextmanager
def loosened(server: ApiServer, *plurals: str) -> Iterator[None]:
    """Have the API server take nearly anything of some kinds; at the end it has the schemas of this version again.

    Both are in force, not only written. Processes that others use must not watch this server: their watches end.
    """
    files = [_FOLDER / f"{plural}.yaml" for plural in plurals]
    definitions = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    try:
        for definition in copy.deepcopy(definitions):
            _loosen(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
            server.kubectl(*_APPLY, "-f", "-", stdin=json.dumps(definition))
        _await(server, definitions, refuses=False)
        yield
    finally:
        for file in files:
            server.kubectl(*_APPLY, "-f", str(file))
        _await(server, definitions, refuses=True)
        # kubectl waits as the 429 of the first lists asks.
        server.kubectl("get", ",".join(f"{plural}.berth.dev" for plural in plurals), "--all-namespaces")


def _await(server: ApiServer, definitions: list[Any], *, refuses: bool) -> None:
    """Wait until the API server refuses a value beyond a bound of each kind, or takes it."""
    deadline = time.monotonic() + SECONDS
    with asking(server) as ask:
        for definition in definitions:
            while _refuses(ask, definition["spec"]) is not refuses:
                assert time.monotonic() < deadline, f"the schema of {definition['metadata']['name']} is not in force"
                time.sleep(0.02)


def _refuses(ask: Asking, kind: Any) -> bool | None:
    """Say whether the schema in force refuses a value that the strict one does; None where no schema was asked."""
    names, version = kind["names"], kind["versions"][0]
    fields = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    field, bounds = next((name, one) for name, one in fields.items() if one.keys() & {"maxLength", "maximum"})
    beyond = "x" * (bounds["maxLength"] + 1) if "maxLength" in bounds else bounds["maximum"] + 1
    body = {"apiVersion": f"berth.dev/{version['name']}", "kind": names["kind"], "metadata": {"name": "loosening"}}
    path = f"/apis/berth.dev/{version['name']}/namespaces/default/{names['plural']}"
    answer = ask("", "POST", path, body | {"spec": {field: beyond}})
    # Policies come after the schema.
    return f"spec.{field}: " in answer.text if answer.status_code in (201, 403, 422) else None


def _loosen(schema: Any) -> None:
    for word in HELD:
        schema.pop(word, None)
    for part in (*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(part, dict):
            _loosen(part)
