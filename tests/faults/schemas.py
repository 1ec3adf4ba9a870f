"""Strategies that make specs from the schemas of the resources, as the cluster's API server checks them.

A schema says less than Kubernetes does about what may stand in a pod: where it says nothing of use, `PLAIN` has values
that pods may have. Other refusals of the API server are ignored.
"""

import re
from typing import Any

import yaml
from hypothesis import strategies as st

from berth_dev.paths import REPOSITORY

Schema = dict[str, Any]
WORDS = ("a", "b1", "some-thing", "x.example.test")
SOURCES: tuple[Schema, ...] = (
    {"emptyDir": {}},
    {"emptyDir": {"medium": "Memory"}},
    {"configMap": {"name": "some-thing"}},
    {"persistentVolumeClaim": {"name": "some-thing"}},
)
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "image": st.sampled_from(("workspace.invalid/a:1", "workspace.invalid/b:2")),
    "requests": st.fixed_dictionaries({}, optional={"cpu": st.sampled_from(("10m", "1")), "memory": st.just("32Mi")}),
    "limits": st.fixed_dictionaries({}, optional={"cpu": st.sampled_from(("2", "3")), "memory": st.just("2Gi")}),
    "nodeSelector": st.dictionaries(st.sampled_from(WORDS), st.sampled_from(("", "yes", "no")), max_size=2),
    "devices": st.dictionaries(st.sampled_from(("example.test/arm", "example.test/eye")), st.integers(1, 3)),
    "volumes": st.lists(
        st.tuples(st.sampled_from(("one", "two", "three")), st.sampled_from(SOURCES), st.booleans()),
        unique_by=lambda volume: volume[0],
        max_size=2,
    ).map(lambda made: [{"name": n, "mountPath": f"/mnt/{n}", "readOnly": ro} | source for n, source, ro in made]),
    "tolerations": st.lists(
        st.sampled_from(({"key": "a", "operator": "Exists"}, {"key": "b", "value": "c", "effect": "NoSchedule"})),
        max_size=2,
    ),
    "allowed": st.lists(st.sampled_from(("192.0.2.0/24", "2001:db8::/32", "198.51.100.0/25")), max_size=3),
    "addCapabilities": st.just([]),
    "privileged": st.just(False),
    "resourceClaims": st.just([]),
    "runtimeClassName": st.nothing(),
    "heartbeat": st.sampled_from(("none", "node")),
    "dissolved": st.nothing(),
    "health": st.nothing(),
    "maintenance": st.nothing(),
    "hooks": st.nothing(),
    "limits.spec": st.fixed_dictionaries(
        {}, optional={"maxPerUser": st.integers(2, 9), "startTimeout": st.integers(3000, 9000)}
    ),
}


def spec_schema(plural: str) -> Schema:
    """Schema of a kind's spec, as it is in the cluster."""
    crd = yaml.safe_load((REPOSITORY / "crds" / f"{plural}.yaml").read_text(encoding="utf-8"))
    schema: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def values(schema: Schema, name: str = "") -> st.SearchStrategy[Any]:
    """Values that fit a schema; ``name`` is that of the field."""
    if name in PLAIN:
        return PLAIN[name]
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "object" if "properties" in schema:
            return objects(schema, name)
        case "object":
            inner = values(schema.get("additionalProperties") or {})
            return st.dictionaries(st.sampled_from(WORDS), inner, max_size=2)
        case "array":
            least = schema.get("minItems", 0)
            made: st.SearchStrategy[Any] = st.lists(values(schema["items"]), min_size=least, max_size=least + 2)
            if "name" not in schema["items"].get("properties", {}):
                return made
            return made.filter(lambda found: len({entry["name"] for entry in found}) == len(found))
        case "integer":
            least = schema.get("minimum", 0)
            return st.integers(least, min(schema.get("maximum", least + 5000), least + 5000))
        case "boolean":
            return st.booleans()
        case "string" if "pattern" in schema:
            texts = st.from_regex(re.compile(str(schema["pattern"])), fullmatch=True)
            return texts.filter(lambda text: text.isascii() and "\n" not in text).map(lambda text: text[:40])
        case "string":
            return st.sampled_from(WORDS)
    return st.sampled_from(("1", "2"))


def objects(schema: Schema, name: str = "") -> st.SearchStrategy[dict[str, Any]]:
    """Objects with the required properties and some of the others."""
    required = set(schema.get("required") or ())
    made = {
        key: values(inner, "limits.spec" if (name, key) == ("spec", "limits") else key)
        for key, inner in schema["properties"].items()
    }
    never = {key for key, strategy in made.items() if strategy.is_empty}
    return st.fixed_dictionaries(
        {key: made[key] for key in required},
        optional={key: made[key] for key in made.keys() - required - never},
    )
