"""Makes commits from Kubernetes objects, with the fields of each kind that the lease protocol needs. Pure."""

from collections.abc import Callable
from typing import Any, Final

from berth_core import ids, names
from berth_core.leases.epochs import epoch_of
from berth_core.trace.commits import DELETED, Commit

Object = dict[str, Any]


def project(event: str, plural: str, obj: Object, *, known: bool = False) -> Commit | None:
    """Return the commit of an event of a watch; None for objects that have no part in the lease protocol."""
    if plural not in KINDS:
        return None
    fields = KINDS[plural](obj)
    if fields is None:
        return None
    metadata = obj["metadata"]
    return Commit(
        version=int(metadata["resourceVersion"]),
        event=event,
        plural=plural,
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        by=_writer(metadata) if event != DELETED else "",
        known=known,
        fields=fields,
    )


def _deployment(obj: Object) -> Object:
    status = obj.get("status") or {}
    lease = status.get("lease")
    return {
        "id": ids.deployment_id(obj["metadata"]["namespace"], obj["metadata"]["name"]),
        "epoch": status.get("epoch") or 0,
        "lease": {"instance": lease["instance"], "user": lease["user"]} if lease else None,
        "deleting": _goes(obj),
        "warm": status.get("warm"),
    }


def _instance(obj: Object) -> Object:
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    claim = spec.get("claim")
    return {
        "id": ids.instance_id(metadata["name"], metadata["uid"]),
        "user": spec.get("user"),
        "claim": {"deployment": claim["deployment"], "epoch": claim["epoch"]} if claim else None,
        "terminate": bool(spec.get("terminate")),
        "finalizer": names.FENCE_FINALIZER in (metadata.get("finalizers") or ()),
        "deployment": status.get("deployment"),
        "epoch": status.get("epoch"),
        "nonce": status.get("nonce"),
        "warm": bool(status.get("warm")),
        "returned": status.get("returned"),
        "reason": status.get("reason"),
        "ended": status.get("endTime") is not None,
    }


def _belonging(obj: Object) -> Object | None:
    labels = obj["metadata"].get("labels") or {}
    if names.INSTANCE_LABEL not in labels and names.WARM_LABEL not in labels:
        return None
    return {
        "instance": labels.get(names.INSTANCE_LABEL),
        "deployment": labels.get(names.DEPLOYMENT_LABEL),
        "epoch": epoch_of(labels) or 0,
        "warm": names.WARM_LABEL in labels,
        "hook": labels.get(names.HOOK_LABEL),
        "deleting": _goes(obj),
    }


def _pod(obj: Object) -> Object | None:
    fields = _belonging(obj)
    if fields is None:
        return None
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    annotations = metadata.get("annotations") or {}
    groups = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    reported = [entry for group in groups for entry in status.get(group) or ()]
    running = any("running" in (entry.get("state") or {}) for entry in reported)
    over = status.get("phase") in ("Failed", "Succeeded") and not running
    unbound = fields["deleting"] and not spec.get("nodeName")
    return fields | {
        "mounts": _mounts(spec),
        "running": running,
        "over": bool(over or unbound or annotations.get(names.FORCED_ANNOTATION)),
    }


def _job(obj: Object) -> Object | None:
    fields = _belonging(obj)
    return None if fields is None else fields | {"mounts": _mounts(obj["spec"]["template"]["spec"])}


def _mounts(spec: Object) -> list[str]:
    """Names of the Secrets without which a pod of this spec does not start."""
    mounted = (volume["secret"]["secretName"] for volume in spec.get("volumes") or () if "secret" in volume)
    return sorted(name for name in mounted if name.startswith(("i-", "w-")))


def _leader(obj: Object) -> Object | None:
    if obj["metadata"]["name"] != "berth-operator":
        return None
    spec = obj.get("spec") or {}
    return {"holder": spec.get("holderIdentity") or "", "transitions": spec.get("leaseTransitions") or 0}


KINDS: Final[dict[str, Callable[[Object], Object | None]]] = {
    "workspacedeployments": _deployment,
    "instances": _instance,
    "secrets": _belonging,
    "pods": _pod,
    "services": _belonging,
    "jobs": _job,
    "leases": _leader,
}


def _goes(obj: Object) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def _writer(metadata: Object) -> str:
    """Field manager that wrote last, as far as the object tells."""
    managers = [entry for entry in metadata.get("managedFields") or () if entry.get("time")]
    latest = max(managers, key=lambda entry: str(entry["time"]), default=None)
    return str(latest["manager"]) if latest else ""
