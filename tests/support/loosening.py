"""CRDs as an earlier version of Berth could have had them: they hold for nothing but the types of fields."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import yaml

from berth_dev.envtest.apiserver import ApiServer
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


@contextmanager
def loosened(server: ApiServer, *plurals: str) -> Iterator[None]:
    """Have the API server take nearly anything of some kinds; at the end it has the schemas of this version again."""
    try:
        for plural in plurals:
            definition = yaml.safe_load((_FOLDER / f"{plural}.yaml").read_text(encoding="utf-8"))
            _loosen(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
            server.kubectl(*_APPLY, "-f", "-", stdin=json.dumps(definition))
        yield
    finally:
        for plural in plurals:
            server.kubectl(*_APPLY, "-f", str(_FOLDER / f"{plural}.yaml"))
        # kubectl waits as the 429 of the first lists asks.
        server.kubectl("get", ",".join(f"{plural}.berth.dev" for plural in plurals), "--all-namespaces")


def _loosen(schema: Any) -> None:
    for word in HELD:
        schema.pop(word, None)
    for part in (*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(part, dict):
            _loosen(part)
