"""The part of an object that is kept: of the bulky kinds only fields that are read.

A whole pod takes four times as much memory as what passes look at; the API server keeps the rest.
"""

from collections.abc import Callable, Iterable
from typing import Final

from berth_core import names
from berth_core.kube.cache import strip_bookkeeping
from berth_core.kube.types import Kind, Object
from berth_operator.kinds import PODS, SERVICES
from berth_operator.pods.cordon import tolerates_cordon
from berth_operator.pods.view import CONTROLLERS, phase_is_presumed

_METADATA: Final = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "finalizers",
)
_ANNOTATIONS: Final = (
    names.FORCED_ANNOTATION,
    names.MADE_FROM_ANNOTATION,
    names.HOST_KEY_ANNOTATION,
    names.NONCE_ANNOTATION,
)
_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
_REPORTS: Final = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
_CONDITIONS: Final = ("PodScheduled", "DisruptionTarget")


def slim(kind: Kind, obj: Object) -> Object:
    """The part to keep of an object as the API server gave it; the object itself stays as it was."""
    if kind in _KEPT:
        return _KEPT[kind](obj)
    metadata = dict(obj["metadata"])
    if "annotations" in metadata:
        metadata["annotations"] = dict(metadata["annotations"])
    return strip_bookkeeping({**obj, "metadata": metadata})


def _pod(obj: Object) -> Object:
    spec, status = obj["spec"], obj.get("status") or {}
    containers = {group: [_some(one, ("name",)) for one in spec[group]] for group in _CONTAINERS if spec.get(group)}
    reports = {
        group: [_some(one, ("name", "state", "restartCount", "containerID")) for one in status[group]]
        for group in _REPORTS
        if status.get(group)
    }
    conditions = [one for one in status.get("conditions") or () if one["type"] in _CONDITIONS]
    fields = _some(spec, ("nodeName", "hostUsers")) | containers
    if tolerations := list(filter(tolerates_cordon, spec.get("tolerations") or ())):
        fields["tolerations"] = tolerations
    metadata = _metadata(obj)
    if phase_is_presumed(obj):
        metadata["managedFields"] = [{"manager": CONTROLLERS, "fieldsV1": {"f:status": {"f:phase": {}}}}]
    return {
        "metadata": metadata,
        "spec": fields,
        "status": _some(status, ("phase", "podIP", "reason")) | reports | {"conditions": conditions},
    }


def _service(obj: Object) -> Object:
    spec = obj["spec"]
    ports = [_some(one, ("name", "nodePort")) for one in spec.get("ports") or ()]
    return {
        "metadata": _metadata(obj),
        "spec": _some(spec, ("type",)) | {"ports": ports},
        "status": _some(obj.get("status") or {}, ("loadBalancer",)),
    }


def _metadata(obj: Object) -> Object:
    metadata = obj["metadata"]
    fields = _some(metadata, _METADATA)
    if annotations := _some(metadata.get("annotations") or {}, _ANNOTATIONS):
        fields["annotations"] = annotations
    return fields


def _some(part: Object, keys: Iterable[str]) -> Object:
    return {key: part[key] for key in keys if key in part}


_KEPT: Final[dict[Kind, Callable[[Object], Object]]] = {PODS: _pod, SERVICES: _service}
