"""CRDs as an earlier version of Berth could have had them: they hold for nothing but the types of fields."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import yaml

from berth_cluster.apiserver import ApiServer
from berth_cluster.paths import REPOSITORY
from berth_cluster.testing import apply_crds

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


@contextmanager
def loosened(server: ApiServer, *plurals: str) -> Iterator[None]:
    """Have the API server take nearly anything of some kinds; at the end it has the schemas of this version again."""
    try:
        for plural in plurals:
            definition = yaml.safe_load((_FOLDER / f"{plural}.yaml").read_text(encoding="utf-8"))
            _loosen(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
            server.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(definition))
        yield
    finally:
        apply_crds(server)


def _loosen(schema: Any) -> None:
    for word in HELD:
        schema.pop(word, None)
    for part in (*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(part, dict):
            _loosen(part)
