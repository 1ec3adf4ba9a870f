"""Judges one object during the listing, so that only its name need be kept. Pure."""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any, Final

from berth_core import crdgen, ids, names
from berth_core.kube.types import Kind, Object
from berth_core.resources import Build, Instance, Project, Reservation, Resource, WorkspaceDeployment, WorkspaceType

BY_ID: Final = (Instance.KIND, Reservation.KIND, Build.KIND)
"""Kinds whose objects Berth names by their ids."""
PREFIX: Final = f"{names.GROUP}/"
BERTHS: Final = (names.API_MANAGER, names.OPERATOR_MANAGER, names.CLI_MANAGER)
LONGEST_NAME: Final = 63
SHORT_NAMES: Final = (WorkspaceType, WorkspaceDeployment, Instance, Reservation, Project, Build)
"""Kinds whose names have at most so many characters (policy `berth-names`)."""
WORKLOADS: Final = {
    "Pod": Kind("v1", "pods"),
    "ReplicationController": Kind("v1", "replicationcontrollers"),
    "Deployment": Kind("apps/v1", "deployments"),
    "ReplicaSet": Kind("apps/v1", "replicasets"),
    "StatefulSet": Kind("apps/v1", "statefulsets"),
    "DaemonSet": Kind("apps/v1", "daemonsets"),
    "Job": Kind("batch/v1", "jobs"),
    "CronJob": Kind("batch/v1", "cronjobs"),
}
NETWORK_POLICIES: Final = Kind("networking.k8s.io/v1", "networkpolicies")
_TERM: Final = re.compile(r"(!?)self\.matches\(r'(.*)'\)|size\(self\) <= (\d+)|(isIP)\(self\)")
"""One term of a judged rule: its groups are a negation and a pattern, a length, and `isIP`."""


def foreign(what: str, metadata: Object) -> str:
    """Return why a resource looks like Berth's own though Berth has not made it; empty where it does not.

    The writer of each field stands in metadata.managedFields.
    """
    berths = [_fields(entry) for entry in metadata.get("managedFields") or () if entry.get("manager") in BERTHS]
    for part in ("labels", "annotations"):
        for key in metadata.get(part) or {}:
            written = any(f"f:{key}" in fields.get("f:metadata", {}).get(f"f:{part}", {}) for fields in berths)
            if key.startswith(PREFIX) and not written:
                return str(key)
    owned = any(owner["apiVersion"].startswith(PREFIX) for owner in metadata.get("ownerReferences") or ())
    if owned and not any("f:ownerReferences" in fields.get("f:metadata", {}) for fields in berths):
        return "its owner"
    reserved = re.fullmatch(names.RESERVED, metadata["name"]) or (what in BY_ID and ids.is_uuid(metadata["name"]))
    return "its name" if reserved and not any("f:spec" in fields for fields in berths) else ""


def _fields(entry: Object) -> dict[str, Any]:
    fields: dict[str, Any] = entry.get("fieldsV1") or {}
    return fields


def is_berths(metadata: Object) -> bool:
    """Whether a workload was made by Berth, or by another workload, which is judged itself."""
    labels = metadata.get("labels") or {}
    owned = any(owner.get("controller") and _is_workload(owner) for owner in metadata.get("ownerReferences") or ())
    return owned or labels.get(names.MANAGED_BY_LABEL) == names.MANAGED_BY or names.PROBE_LABEL in labels


def opens(policy: Object) -> bool:
    """Whether a NetworkPolicy that is not Berth's has rules, which `berth-belongings` refuses."""
    return not is_berths(policy["metadata"]) and any(policy["spec"].get(way) for way in ("ingress", "egress"))


def _is_workload(owner: Object) -> bool:
    kind = WORKLOADS.get(owner["kind"])
    return kind is not None and kind.api_version == owner["apiVersion"]


def schema_of(kind: type[Resource]) -> Object:
    """Return the parts of a kind's schema, as this version has it."""
    version = crdgen.definition(kind)["spec"]["versions"][0]
    parts: Object = version["schema"]["openAPIV3Schema"]["properties"]
    return parts


def refused(kind: type[Resource], schema: Object, obj: Object) -> list[str]:
    """Return the paths of an object's fields for which it could not be made now; ``schema`` is the kind's."""
    too_long = kind in SHORT_NAMES and len(obj["metadata"]["name"]) > LONGEST_NAME
    paths = {path for part in ("spec", "status") for path in broken(schema.get(part, {}), obj.get(part), part)}
    return sorted(paths | ({"metadata.name"} if too_long else set()))


def broken(schema: Object, value: Any, path: str) -> Iterator[str]:
    """Yield paths of fields that a schema refuses. Only those CEL rules count that :func:`is_judged` knows."""
    if value is None:
        return
    if not _fits(schema, value):
        yield path
    elif isinstance(value, dict):
        properties = schema.get("properties", {})
        yield from (f"{path}.{name}" for name in schema.get("required", ()) if name not in value)
        for name, inner in value.items():
            if (part := properties.get(name) or schema.get("additionalProperties")) is not None:
                yield from broken(part, inner, f"{path}.{name}")
    elif isinstance(value, list) and "items" in schema:
        for inner in value:
            yield from broken(schema["items"], inner, path)


def _fits(schema: Object, value: Any) -> bool:
    words: dict[type, str] = {str: "Length", list: "Items", dict: "Properties"}
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        low, high, size = "minimum", "maximum", value
    elif type(value) in words:
        low, high, size = f"min{words[type(value)]}", f"max{words[type(value)]}", len(value)
    else:
        return True
    if not schema.get(low, size) <= size <= schema.get(high, size):
        return False
    if not isinstance(value, str):
        return True
    rules = [one["rule"] for one in schema.get("x-kubernetes-validations", ()) if is_judged(one["rule"])]
    return _matches(schema.get("pattern", ""), value) and all(
        _holds(term, value) for rule in rules for term in rule.split(" && ")
    )


def is_judged(rule: str) -> bool:
    """Whether a CEL rule is judged here: about one text, by patterns, length or as an IP address."""
    return all(_TERM.fullmatch(term) for term in rule.split(" && "))


def _holds(term: str, value: str) -> bool:
    match = _TERM.fullmatch(term)
    if match is None:
        return True
    negated, pattern, longest, _ = match.groups()
    if pattern is not None:
        return _matches(pattern, value) != bool(negated)
    if longest is not None:
        return len(value) <= int(longest)
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _matches(pattern: str, value: str) -> bool:
    """Search as RE2 does, where `$` is the end of the text and not the end of its last line."""
    ending = re.sub(r"\$$", r"\\Z", pattern)
    return re.search(ending, value) is not None
