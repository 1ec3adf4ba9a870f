"""Kubernetes' own kinds as the API server completes them: defaults, fields dropped when empty, immutable ones."""

from collections.abc import Callable
from typing import Any, Final

from berth_core.kube.types import Object

from .problems import Cause
from .services import service_errors
from .trees import at, same, with_defaults

_STRINGS: Final = frozenset({"labels", "annotations", "data", "binaryData", "nodeSelector", "matchLabels"})
"""Maps whose empty values stay."""
_KEPT: Final = frozenset(
    {
        "resources",
        "securityContext",
        "emptyDir",
        "podSelector",
        "spec",
        "status",
        "template",
        "loadBalancer",
        "holderIdentity",
        "selector",
        "metadata",
        "nodeInfo",
        "daemonEndpoints",
    }
)
"""Fields that stay though they are empty."""
_FALSE: Final = frozenset({"readOnly", "publishNotReadyAddresses", "unschedulable", "hostNetwork", "stdin", "tty"})
"""Fields that are dropped when false."""
_ZERO: Final = frozenset({"active", "succeeded", "failed"})
_NAMED: Final = frozenset({"machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion"})
_NODE_INFO: Final = (*sorted(_NAMED), "kubeletVersion", "kubeProxyVersion", "operatingSystem", "architecture")
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})


def tidied(value: Any) -> Any:
    """Return a value without what Go's encoder leaves out; shares what stays as it is."""
    if isinstance(value, list):
        items = [tidied(item) for item in value]
        return value if all(one is other for one, other in zip(items, value, strict=True)) else items
    if not isinstance(value, dict):
        return value
    result: Object = {}
    changed = False
    for key, inner in value.items():
        new = inner if key in _STRINGS or key in _NODE_INFO else tidied(inner)
        empty = new in _EMPTY and key not in _KEPT and key not in _NODE_INFO
        if empty or (key in _FALSE and new is False) or (key in _ZERO and new == 0):
            changed = True
            continue
        changed = changed or new is not inner
        result[key] = new
    return result if changed else value


def _container(container: Object) -> Object:
    tagged = container["image"].rpartition(":")[2] if ":" in container["image"] else "latest"
    container = with_defaults(
        container,
        {
            "resources": {},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "Always" if tagged == "latest" else "IfNotPresent",
        },
    )
    if "ports" in container:
        container = container | {"ports": [with_defaults(port, {"protocol": "TCP"}) for port in container["ports"]]}
    return container


def pod_spec(spec: Object) -> Object:
    """Return a pod's spec, or that of a template, with defaults."""
    spec = with_defaults(
        spec,
        {
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "securityContext": {},
            "schedulerName": "default-scheduler",
        },
    )
    for word in ("containers", "initContainers"):
        if word in spec:
            spec = spec | {word: [_container(container) for container in spec[word]]}
    if "volumes" in spec:
        spec = spec | {"volumes": [_volume(volume) for volume in spec["volumes"]]}
    return spec


def _volume(volume: Object) -> Object:
    for kind in ("secret", "configMap"):
        if kind in volume:
            return volume | {kind: with_defaults(volume[kind], {"defaultMode": 0o644})}
    if "hostPath" in volume:
        return volume | {"hostPath": with_defaults(volume["hostPath"], {"type": ""})}
    return volume


def pod(obj: Object, old: Object | None) -> Object:
    """Return a pod with defaults, those of admission included."""
    spec = pod_spec(obj["spec"])
    spec = with_defaults(spec, {"enableServiceLinks": True})
    if old is None:
        account = spec.get("serviceAccountName", "default")
        spec = with_defaults(spec, {"serviceAccountName": account, "serviceAccount": account, "priority": 0})
        spec = with_defaults(spec, {"preemptionPolicy": "PreemptLowerPriority"})
        spec = _tolerating(spec)
        return obj | {"spec": spec, "status": {"phase": "Pending", "qosClass": _quality(spec)}}
    status = with_defaults(obj.get("status") or {}, {"qosClass": old["status"]["qosClass"]})
    if conditions := status.get("conditions"):
        times = {"lastProbeTime": None, "lastTransitionTime": None}
        status = status | {"conditions": [with_defaults(condition, times) for condition in conditions]}
    return obj | {"spec": spec, "status": status}


def _tolerating(spec: Object) -> Object:
    """As the admission plugin DefaultTolerationSeconds does."""
    own: list[Object] = spec.get("tolerations") or []
    added = []
    for taint in ("not-ready", "unreachable"):
        key = f"node.kubernetes.io/{taint}"
        if not any(t.get("key") in (key, None) and t.get("effect") in ("NoExecute", None) for t in own):
            added.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    return spec | {"tolerations": [*own, *added]} if added else spec


def _quality(spec: Object) -> str:
    found = [(c.get("resources") or {}) for c in (*spec["containers"], *spec.get("initContainers", ()))]
    if not any(r.get("requests") or r.get("limits") for r in found):
        return "BestEffort"
    full = all(
        {"cpu", "memory"} <= (r.get("limits") or {}).keys() and (r.get("requests") or r["limits"]) == r["limits"]
        for r in found
    )
    return "Guaranteed" if full else "Burstable"


def job(obj: Object, old: Object | None) -> Object:
    """Return a Job with defaults, its selector and labels included."""
    spec = with_defaults(
        obj["spec"],
        {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 6,
            "manualSelector": False,
            "completionMode": "NonIndexed",
            "suspend": False,
        },
    )
    spec = with_defaults(
        spec, {"podReplacementPolicy": "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed"}
    )
    template = spec["template"]
    template = template | {"spec": pod_spec(template["spec"])}
    if old is None:
        uid, name = obj["metadata"]["uid"], obj["metadata"]["name"]
        marks = {"controller-uid": uid, "job-name": name}
        marks |= {f"batch.kubernetes.io/{key}": value for key, value in marks.items()}
        metadata = template.get("metadata") or {}
        metadata = metadata | {"labels": (metadata.get("labels") or {}) | marks}
        template = template | {"metadata": metadata}
        key = "batch.kubernetes.io/controller-uid"
        spec = spec | {"selector": {"matchLabels": {key: uid}}}
    labels = (template.get("metadata") or {}).get("labels")
    if labels and not obj["metadata"].get("labels"):  # the template's, where it has none of its own
        obj = obj | {"metadata": obj["metadata"] | {"labels": labels}}
    return obj | {"spec": spec | {"template": template}, "status": obj.get("status") or {}}


def secret(obj: Object, _: Object | None) -> Object:
    """Return a Secret; stringData becomes data."""
    import base64

    obj = with_defaults(obj, {"type": "Opaque"})
    if plain := obj.get("stringData"):
        data = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
        obj = obj | {"data": (obj.get("data") or {}) | data}
    return {key: value for key, value in obj.items() if key != "stringData"}


def policy(obj: Object, _: Object | None) -> Object:
    """Return a NetworkPolicy with its types."""
    types = ["Ingress", *(["Egress"] if obj["spec"].get("egress") else [])]
    return obj | {"spec": with_defaults(obj["spec"], {"policyTypes": types})}


def budget(obj: Object, _: Object | None) -> Object:
    """Return a PodDisruptionBudget; its counts are never absent."""
    zeros = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
    return obj | {"status": with_defaults(obj.get("status") or {}, dict.fromkeys(zeros, 0))}


def claim(obj: Object, _: Object | None) -> Object:
    """Return a ResourceClaim; its status is never absent."""
    return obj | {"status": obj.get("status") or {}}


def node(obj: Object, old: Object | None) -> Object:
    """Return a Node; a new one is tainted until it is ready."""
    obj = with_defaults(obj, {"spec": {}})
    if old is None:
        taints = obj["spec"].get("taints") or []
        taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
        obj = obj | {"spec": obj["spec"] | {"taints": [*taints, taint]}}
    base = {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}, "nodeInfo": dict.fromkeys(_NODE_INFO, "")}
    return obj | {"status": with_defaults(obj.get("status") or {}, base)}


def namespace(obj: Object, old: Object | None) -> Object:
    """Return a Namespace."""
    name, metadata = obj["metadata"]["name"], obj["metadata"]
    labels = (metadata.get("labels") or {}) | {"kubernetes.io/metadata.name": name}
    obj = obj | {"metadata": metadata | {"labels": labels}}
    if old is None:
        return obj | {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    return obj


def event(obj: Object, old: Object | None) -> Object:
    """Return an Event with the fields of the old form."""
    return obj | {"deprecatedFirstTimestamp": None, "deprecatedLastTimestamp": None, "deprecatedSource": {}}


def errors(plural: str, new: Object, old: Object | None) -> list[Cause]:
    """Return what an object must not say, and an update must not change."""
    if plural == "services":
        return service_errors(new, old)
    if old is None:
        return []
    if plural == "pods":
        for word in ("containers", "initContainers"):
            if len(new["spec"].get(word) or ()) != len(old["spec"].get(word) or ()):
                return [Cause("FieldValueForbidden", f"spec.{word}", "pod updates may not add or remove containers")]
        found, deadline = [], old["spec"].get("activeDeadlineSeconds")
        if deadline is not None and new["spec"].get("activeDeadlineSeconds", deadline + 1) > deadline:
            found.append(Cause("FieldValueInvalid", "spec.activeDeadlineSeconds", "must not grow"))
        if same(_pod_rest(new["spec"]), _pod_rest(old["spec"])):
            return found
        return [
            *found,
            Cause("FieldValueForbidden", "spec", "pod updates may not change fields other than the image and few more"),
        ]
    paths = {
        "jobs": ("spec.template", "spec.selector", "spec.completions", "spec.podFailurePolicy"),
        "secrets": ("type",),
        "resourceclaims": ("spec",),
    }
    return [
        Cause("FieldValueInvalid", path, "field is immutable")
        for path in paths.get(plural, ())
        if not same(at(new, tuple(path.split("."))), at(old, tuple(path.split("."))))
    ]


def _pod_rest(spec: Object) -> Object:
    left = {"activeDeadlineSeconds", "tolerations", "containers", "initContainers"}
    rest = {key: value for key, value in spec.items() if key not in left}
    for word in ("containers", "initContainers"):
        rest[word] = [{k: v for k, v in c.items() if k != "image"} for c in spec.get(word) or ()]
    return rest


MAKERS: Final[dict[str, Callable[[Object, Object | None], Object]]] = {
    "pods": pod,
    "jobs": job,
    "secrets": secret,
    "networkpolicies": policy,
    "poddisruptionbudgets": budget,
    "resourceclaims": claim,
    "nodes": node,
    "namespaces": namespace,
    "events": event,
}
