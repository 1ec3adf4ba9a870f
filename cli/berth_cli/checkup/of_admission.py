"""What the admission policies would refuse if it were made now: objects that are older than they. Pure."""

import re
from collections.abc import Iterator
from typing import Any, Final

from berth_cli.checkup.facts import Facts, Unseen
from berth_cli.checkup.findings import Finding, Level, some, unseen
from berth_core import ids, names, overrides
from berth_core.client import Object
from berth_core.resources import Build, Instance, Reservation

RESERVED: Final = re.compile(r"[biwvp]-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|p-[0-9a-f]{40}$")
"""Names that only Berth gives (policy `berth-marks`)."""
BY_ID: Final = (Instance.KIND, Reservation.KIND, Build.KIND)
"""Kinds of which Berth's are named by their ids."""
PREFIX: Final = f"{names.GROUP}/"
BERTHS: Final = (names.API_MANAGER, names.OPERATOR_MANAGER, names.CLI_MANAGER)


def marks(facts: Facts) -> Iterator[Finding]:
    """Nobody's resources look like what Berth makes."""
    check = "names and labels"
    if isinstance(facts.ours, Unseen):
        yield unseen(check, facts.ours)
        return
    found = [f"{_named(one)} ({what})" for one in facts.ours if (what := foreign(one))]
    if found:
        mend = "they go on; make them again under other names, without labels, annotations and owners of berth.dev"
        yield Finding(check, Level.WARNING, f"{len(found)} look like Berth's own: {some(found)}", mend)
    else:
        yield Finding(check, Level.OK, f"{len(facts.ours)} resources, none that looks like Berth's own and is not")


def workloads(facts: Facts) -> Iterator[Finding]:
    """Nothing but Berth's pods runs in the workspace namespaces."""
    check = "workloads"
    if isinstance(facts.workloads, Unseen):
        yield unseen(check, facts.workloads)
        return
    found = [_named(one) for one in facts.workloads if not _is_berths(one)]
    if found:
        mend = "move them to another namespace: they run on, but in a workspace namespace no new pods are made for them"
        yield Finding(check, Level.WARNING, f"{len(found)} are not Berth's: {some(found)}", mend)
    else:
        yield Finding(check, Level.OK, "the workspace namespaces have Berth's only")


def added(facts: Facts) -> Iterator[Finding]:
    """Overrides of deployments only add to their type's template."""
    check = "overrides"
    for part in (facts.types, facts.deployments):
        if isinstance(part, Unseen):
            yield unseen(check, part)
            return
    if isinstance(facts.types, Unseen) or isinstance(facts.deployments, Unseen):
        return
    templates = {(one.metadata.namespace, one.spec.type_name): one.spec.template for one in facts.types}
    wrong = {
        wd.metadata.name: paths
        for wd in facts.deployments
        if (template := templates.get((wd.metadata.namespace, wd.spec.type))) is not None
        and (paths := overrides.conflicts(template, wd.spec.overrides))
    }
    for name, paths in wrong.items():
        mend = f"take that out of spec.overrides of {name}, or change the type's template: it is not leased until then"
        yield Finding(check, Level.FAILED, f"those of {name} would change its type's {', '.join(paths)}", mend)
    if not wrong:
        yield Finding(check, Level.OK, f"those of {len(facts.deployments)} deployments add to their types")


def foreign(obj: Object) -> str:
    """Return why somebody's resource looks like Berth's own though Berth has not made it; empty where it does not.

    Who wrote a field stands in metadata.managedFields.
    """
    metadata = obj["metadata"]
    berths = [_fields(entry) for entry in metadata.get("managedFields") or () if entry.get("manager") in BERTHS]
    for part in ("labels", "annotations"):
        for key in metadata.get(part) or {}:
            written = any(f"f:{key}" in fields.get("f:metadata", {}).get(f"f:{part}", {}) for fields in berths)
            if key.startswith(PREFIX) and not written:
                return str(key)
    owned = any(owner["apiVersion"].startswith(PREFIX) for owner in metadata.get("ownerReferences") or ())
    if owned and not any("f:ownerReferences" in fields.get("f:metadata", {}) for fields in berths):
        return "its owner"
    reserved = RESERVED.match(metadata["name"]) or (obj["what"] in BY_ID and ids.is_uuid(metadata["name"]))
    return "its name" if reserved and not any("f:spec" in fields for fields in berths) else ""


def _fields(entry: Object) -> dict[str, Any]:
    fields: dict[str, Any] = entry.get("fieldsV1") or {}
    return fields


def _is_berths(workload: Object) -> bool:
    """Whether Berth made it, or something that is listed itself did."""
    metadata = workload["metadata"]
    labels = metadata.get("labels") or {}
    owned = any(owner.get("controller") for owner in metadata.get("ownerReferences") or ())
    return owned or labels.get(names.MANAGED_BY_LABEL) == names.MANAGED_BY or names.PROBE_LABEL in labels


def _named(obj: Object) -> str:
    return f"{obj['what']} {obj['metadata']['namespace']}/{obj['metadata']['name']}"
