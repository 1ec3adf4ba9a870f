"""What the API server makes of Kubernetes' own kinds: defaults, fields that it drops when empty, immutable ones."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from berth_core.client import Object

from . import problems
from .problems import Cause
from .trees import MISSING, at, same

NODE_PORTS: Final = range(30000, 32768)
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


def _with(value: Object, defaults: Object) -> Object:
    missing = {key: inner for key, inner in defaults.items() if key not in value}
    return value | missing if missing else value


def _container(container: Object) -> Object:
    tagged = container["image"].rpartition(":")[2] if ":" in container["image"] else "latest"
    container = _with(
        container,
        {
            "resources": {},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "Always" if tagged == "latest" else "IfNotPresent",
        },
    )
    if "ports" in container:
        container = container | {"ports": [_with(port, {"protocol": "TCP"}) for port in container["ports"]]}
    return container


def pod_spec(spec: Object) -> Object:
    """Return a pod's spec, or that of a template, with defaults."""
    spec = _with(
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
            return volume | {kind: _with(volume[kind], {"defaultMode": 0o644})}
    if "hostPath" in volume:
        return volume | {"hostPath": _with(volume["hostPath"], {"type": ""})}
    return volume


def pod(obj: Object, old: Object | None) -> Object:
    """Return a pod with defaults, those of admission included."""
    spec = pod_spec(obj["spec"])
    spec = _with(spec, {"enableServiceLinks": True})
    if old is None:
        account = spec.get("serviceAccountName", "default")
        spec = _with(spec, {"serviceAccountName": account, "serviceAccount": account, "priority": 0})
        spec = _with(spec, {"preemptionPolicy": "PreemptLowerPriority"})
        spec = _tolerating(spec)
        return obj | {"spec": spec, "status": {"phase": "Pending", "qosClass": _quality(spec)}}
    status = _with(obj.get("status") or {}, {"qosClass": old["status"]["qosClass"]})
    if conditions := status.get("conditions"):
        times = {"lastProbeTime": None, "lastTransitionTime": None}
        status = status | {"conditions": [_with(condition, times) for condition in conditions]}
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
    spec = _with(
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
    spec = _with(spec, {"podReplacementPolicy": "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed"})
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
        obj = obj | {"status": {}}
        if not obj["metadata"].get("labels"):  # the template's, where it has none of its own
            obj = obj | {"metadata": obj["metadata"] | {"labels": metadata["labels"]}}
    return obj | {"spec": spec | {"template": template}}


class Ports:
    """Draws addresses and ports of Services."""

    def __init__(self, draw: random.Random, services: Callable[[], list[Object]]) -> None:
        self._draw, self._services = draw, services
        self._drawn: list[int] = []

    def service(self, obj: Object, old: Object | None) -> Object:
        """Return a Service with defaults; what was allocated before stays."""
        self._drawn.clear()
        spec, before = obj["spec"], (old or {}).get("spec") or {}
        spec = _with(
            spec,
            {
                "sessionAffinity": "None",
                "type": "ClusterIP",
                "internalTrafficPolicy": "Cluster",
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
            },
        )
        if "clusterIP" not in spec:
            spec = spec | {"clusterIP": before.get("clusterIP") or self._address()}
        spec = spec | {"clusterIPs": [spec["clusterIP"]]}
        outer = spec["type"] in ("NodePort", "LoadBalancer")
        if outer:
            spec = _with(spec, {"externalTrafficPolicy": "Cluster"})
        spec = spec | {"ports": self._ports(spec.get("ports") or (), before.get("ports") or (), outer=outer)}
        spec = self._balanced(spec, before)
        balancer = (obj.get("status") or {}).get("loadBalancer") or {}
        if spec["type"] != "LoadBalancer" and before.get("type") == "LoadBalancer":
            balancer = {}
        if ingress := balancer.get("ingress"):
            balancer = balancer | {"ingress": [_with(entry, {"ipMode": "VIP"}) for entry in ingress]}
        return obj | {"spec": spec, "status": (obj.get("status") or {}) | {"loadBalancer": balancer}}

    def _balanced(self, spec: Object, before: Object) -> Object:
        if spec["type"] == "LoadBalancer":
            spec = _with(spec, {"allocateLoadBalancerNodePorts": True})
            if spec["externalTrafficPolicy"] == "Local" and "healthCheckNodePort" not in spec:
                spec = spec | {"healthCheckNodePort": before.get("healthCheckNodePort") or self._free()}
            return spec
        return {k: v for k, v in spec.items() if k not in ("allocateLoadBalancerNodePorts", "healthCheckNodePort")}

    def _ports(self, ports: Sequence[Object], before: Sequence[Object], *, outer: bool) -> list[Object]:
        """Return ports with node ports: a port of the same name keeps its own, whatever else of it changes."""
        ports = [_with(port, {"protocol": "TCP", "targetPort": port["port"]}) for port in ports]
        if not outer:
            return [{key: value for key, value in port.items() if key != "nodePort"} for port in ports]
        named = {port.get("name"): port.get("nodePort") for port in before}
        used = {port.get("nodePort") for port in ports} & set(named.values())
        result = []
        for port in ports:
            if not port.get("nodePort"):
                known = named.get(port.get("name"))
                port = port | {"nodePort": known if known and known not in used else self._free()}
                used.add(port["nodePort"])
            result.append(port)
        return result

    def _free(self) -> int:
        taken: set[int | None] = set(self._drawn)
        for obj in self._services():
            taken |= {port.get("nodePort") for port in obj["spec"].get("ports") or ()}
            taken.add(obj["spec"].get("healthCheckNodePort"))
        if all(port in taken for port in NODE_PORTS):
            raise problems.internal("failed to allocate a nodePort: range is full")
        while (port := self._draw.choice(NODE_PORTS)) in taken:
            pass
        self._drawn.append(port)
        return port

    def _address(self) -> str:
        taken = {obj["spec"].get("clusterIP") for obj in self._services()}
        while (address := f"10.96.{self._draw.randrange(256)}.{self._draw.randrange(1, 255)}") in taken:
            pass
        return address


def secret(obj: Object, _: Object | None) -> Object:
    """Return a Secret; stringData becomes data."""
    import base64

    obj = _with(obj, {"type": "Opaque"})
    if plain := obj.get("stringData"):
        data = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
        obj = obj | {"data": (obj.get("data") or {}) | data}
    return {key: value for key, value in obj.items() if key != "stringData"}


def policy(obj: Object, _: Object | None) -> Object:
    """Return a NetworkPolicy with its types."""
    types = ["Ingress", *(["Egress"] if obj["spec"].get("egress") else [])]
    return obj | {"spec": _with(obj["spec"], {"policyTypes": types})}


def budget(obj: Object, old: Object | None) -> Object:
    """Return a PodDisruptionBudget."""
    if old is None:
        zeros = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
        obj = obj | {"status": dict.fromkeys(zeros, 0)}
    return obj


def node(obj: Object, old: Object | None) -> Object:
    """Return a Node; a new one is tainted until it is ready."""
    obj = _with(obj, {"spec": {}})
    if old is None:
        taints = obj["spec"].get("taints") or []
        taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
        obj = obj | {"spec": obj["spec"] | {"taints": [*taints, taint]}}
        info = dict.fromkeys(_NODE_INFO, "")
        base = {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}, "nodeInfo": info}
        obj = obj | {"status": _with(obj.get("status") or {}, base)}
    return obj


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
    }
    return [
        Cause("FieldValueInvalid", path, "field is immutable")
        for path in paths.get(plural, ())
        if not same(at(new, tuple(path.split("."))), at(old, tuple(path.split("."))))
    ]


def service_errors(new: Object, old: Object | None) -> list[Cause]:
    """Return what a Service must not say together."""
    found, spec, status = [], new["spec"], new.get("status") or {}
    names: set[str] = set()
    for index, port in enumerate(spec["ports"]):
        if port.get("name") in names:
            found.append(Cause("FieldValueDuplicate", f"spec.ports[{index}].name", "Duplicate value"))
        names.add(port.get("name", ""))
    if spec["type"] != "LoadBalancer":
        only = "only with type LoadBalancer"
        if spec.get("loadBalancerSourceRanges"):
            found.append(Cause("FieldValueForbidden", "spec.LoadBalancerSourceRanges", only))
        was = (old or {}).get("status") or {}
        if (status.get("loadBalancer") or {}).get("ingress") and old is not None and not same(status, was):
            found.append(Cause("FieldValueForbidden", "status.loadBalancer.ingress", only))
    return found


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
    "nodes": node,
    "namespaces": namespace,
    "events": event,
}
__all__ = ["MAKERS", "MISSING", "Ports", "errors", "pod_spec", "tidied"]
