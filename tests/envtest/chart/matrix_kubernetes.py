"""The same of Kubernetes' own kinds in a workspace namespace: workloads, ways into pods, and what Berth has marked."""

from collections.abc import Iterator
from typing import Any, Final

from berth_core.kube.types import Object
from berth_core.names import FENCE_FINALIZER, HEARTBEAT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, RELEASE_CONFIGMAP

from .conftest import WORKSPACES
from .matrix import MARKS, RESERVED, Row, row

CONTROLLERS: Final = "operator jobs stranger manager"
EDITORS: Final = "edit owner helper manager"
ROLE: Final[Object] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "matrix-kubernetes"},
    "rules": [
        {
            "apiGroups": [
                *("", "apps", "batch", "networking.k8s.io", "policy"),
                *("coordination.k8s.io", "discovery.k8s.io", "resource.k8s.io"),
            ],
            "resources": ["*"],
            "verbs": ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"],
        }
    ],
}
"""Every right to these kinds and their parts, and no verb of Berth's: what is refused, a policy refuses."""
ASKED: Final = {"requests": {"cpu": "10m", "memory": "16Mi"}}
"""Resources that the chart's LimitRange would add: an update takes nothing away."""
POD: Final = {
    "automountServiceAccountToken": False,
    "containers": [{"name": "c", "image": "example/c", "resources": ASKED}],
}
POD_TEMPLATE: Final = {"metadata": {"labels": {"a": "b"}}, "spec": POD}
SELECTED: Final = {"selector": {"matchLabels": {"a": "b"}}, "template": POD_TEMPLATE, "replicas": 0}
DAEMONS: Final = {key: value for key, value in SELECTED.items() if key != "replicas"}
JOB: Final = {"template": {"spec": POD | {"restartPolicy": "Never"}}, "suspend": True}
OPEN: Final[Object] = {"podSelector": {}, "egress": [{}]}
KINDS: Final[dict[str, tuple[str, str, Object]]] = {
    "pods": ("v1", "Pod", {"spec": POD}),
    "replicationcontrollers": (
        "v1",
        "ReplicationController",
        {"spec": {"selector": {"a": "b"}, "template": POD_TEMPLATE, "replicas": 0}},
    ),
    "deployments": ("apps/v1", "Deployment", {"spec": SELECTED | {"paused": True}}),
    "replicasets": ("apps/v1", "ReplicaSet", {"spec": SELECTED}),
    "statefulsets": ("apps/v1", "StatefulSet", {"spec": SELECTED | {"serviceName": "x"}}),
    "daemonsets": ("apps/v1", "DaemonSet", {"spec": DAEMONS}),
    "jobs": ("batch/v1", "Job", {"spec": JOB}),
    "cronjobs": ("batch/v1", "CronJob", {"spec": {"schedule": "@daily", "jobTemplate": {"spec": JOB}}}),
    "secrets": ("v1", "Secret", {"data": {}}),
    "configmaps": ("v1", "ConfigMap", {"data": {}}),
    "services": ("v1", "Service", {"spec": {"ports": [{"port": 22}]}}),
    "endpointslices": ("discovery.k8s.io/v1", "EndpointSlice", {"addressType": "IPv4", "endpoints": []}),
    "networkpolicies": ("networking.k8s.io/v1", "NetworkPolicy", {"spec": {"podSelector": {}}}),
    "poddisruptionbudgets": ("policy/v1", "PodDisruptionBudget", {"spec": {"minAvailable": 1}}),
    "leases": ("coordination.k8s.io/v1", "Lease", {"spec": {}}),
}
"""Of each kind, by plural: apiVersion, kind, and an object but for its metadata, which makes nothing happen."""
OTHERWISE: Final[dict[str, Object]] = {
    "replicationcontrollers": {"spec": {"replicas": 1}},
    "deployments": {"spec": {"replicas": 1}},
    "replicasets": {"spec": {"replicas": 1}},
    "statefulsets": {"spec": {"replicas": 1}},
    "daemonsets": {"spec": {"minReadySeconds": 1}},
    "jobs": {"spec": {"suspend": False}},
    "cronjobs": {"spec": {"schedule": "@hourly"}},
    "secrets": {"data": {"a": "Yg=="}},
    "configmaps": {"data": {"a": "b"}},
    "services": {"spec": {"selector": {"app": "mallory"}}},
    "endpointslices": {"endpoints": [{"addresses": ["192.0.2.1"]}]},
    "networkpolicies": {"spec": {"podSelector": {"matchLabels": {"nobody": "x"}}}},
    "poddisruptionbudgets": {"spec": {"minAvailable": 0}},
    "leases": {"spec": {"holderIdentity": "x"}},
}
BELONGINGS: Final = (
    *("secrets", "configmaps", "services", "endpointslices", "networkpolicies", "poddisruptionbudgets", "leases"),
)
NOTE: Final = {"metadata": {"annotations": {"example.org/note": "x"}, "labels": {"note": "x"}}}
KEPT: Final = "example.org/kept"
ATTEMPTS: Final[dict[str, Object]] = {
    "another label": {"labels": {"berth.dev/instance": "j"}},
    "no label": {"labels": {"berth.dev/instance": None}},
    "another maker": {"labels": {MANAGED_BY_LABEL: "mallory"}},
    "another annotation": {"annotations": {"berth.dev/expires": "y"}},
    "no annotation": {"annotations": {"berth.dev/expires": None}},
    "another owner": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "u"}]},
    "no owner": {"ownerReferences": None},
    "another finalizer": {"finalizers": [KEPT, "example.org/another"]},
}
"""Changes to the metadata of Berth's objects that nobody but Berth makes."""


def collection(plural: str) -> str:
    """Path of a kind where leases have their parts."""
    version = KINDS[plural][0]
    return f"/{'api' if version == 'v1' else 'apis'}/{version}/namespaces/{WORKSPACES}/{plural}"


def manifest(plural: str, **metadata: Any) -> Object:
    """An object of a kind."""
    version, kind, rest = KINDS[plural]
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "new"} | metadata} | rest


def existing() -> Iterator[tuple[str, Object]]:
    """Objects that the requests are about: one of each kind, Berth's where it makes some, and two that are not."""
    for plural in KINDS:
        berths: Object = {"labels": {"berth.dev/instance": "i", MANAGED_BY_LABEL: MANAGED_BY}}
        if plural in BELONGINGS:
            berths |= {"annotations": {"berth.dev/expires": "x"}, "finalizers": [KEPT]}
        if plural == "pods":
            berths |= {"finalizers": [FENCE_FINALIZER]}
        yield collection(plural), manifest(plural, name="matrix", **berths)
    yield collection("configmaps"), manifest("configmaps", name="by-name", labels={MANAGED_BY_LABEL: MANAGED_BY})
    yield collection("leases"), manifest("leases", name="beating", labels={HEARTBEAT_LABEL: "true"})
    yield collection("leases"), manifest("leases", name="plain")
    yield collection("networkpolicies"), manifest("networkpolicies", name="plain")
    yield collection("networkpolicies"), manifest("networkpolicies", name="open") | {"spec": OPEN}


def rows() -> Iterator[Row]:
    """Their part of the matrix."""
    yield from _workloads()
    yield from _pods()
    yield from _removals()
    yield from _entries()
    for plural in BELONGINGS:
        yield from _belongings(plural)
    yield from _networks()
    yield from _heartbeats()
    yield row("delete the namespace", "DELETE", f"/api/v1/namespaces/{WORKSPACES}")


def _workloads() -> Iterator[Row]:
    for plural in KINDS:
        if plural in BELONGINGS:
            continue
        may = "operator" if plural in ("pods", "jobs") else ""
        yield row(f"create {plural}", "POST", collection(plural), manifest(plural), may)
        if plural == "pods":
            continue
        one = f"{collection(plural)}/matrix"
        kubernetes = "manager jobs" if plural == "jobs" else "manager"
        yield row(f"change {plural}", "PATCH", one, OTHERWISE[plural], kubernetes)
        yield row(f"keep {plural}", "PATCH", one, {"metadata": {"finalizers": [KEPT]}}, kubernetes)
        noters = f"{EDITORS} jobs" if plural == "jobs" else EDITORS
        yield row(f"note something on {plural}", "PATCH", one, {"metadata": {"annotations": {"note": "x"}}}, noters)


JOBS_OWN: Final = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u", "controller": True}


def _pods() -> Iterator[Row]:
    others = JOBS_OWN | {"apiVersion": "apps/v1", "kind": "ReplicaSet"}
    for owner, may in ((JOBS_OWN, "operator jobs manager"), (others, "operator")):
        pod = manifest("pods", ownerReferences=[owner])
        yield row(f"create a pod of a {owner['kind']}", "POST", collection("pods"), pod, may)
    one = f"{collection('pods')}/matrix"
    image = {"spec": {"containers": [{"name": "c", "image": "mallory/c", "resources": ASKED}]}}
    yield row("give a pod another image", "PATCH", one, image, "operator")
    for what, metadata, may in (
        ("another label", {"labels": {"berth.dev/instance": "j"}}, CONTROLLERS),
        ("no fence", {"finalizers": None}, CONTROLLERS),
        ("a finalizer", {"finalizers": [FENCE_FINALIZER, KEPT]}, CONTROLLERS),
        ("Kubernetes' finalizer", {"finalizers": [FENCE_FINALIZER, "foregroundDeletion"]}, CONTROLLERS),
        ("an end by force", {"annotations": {"berth.dev/released-by-force": "x"}}, CONTROLLERS),
        ("another owner", {"ownerReferences": [JOBS_OWN]}, CONTROLLERS),
        ("a note", {"annotations": {"example.org/note": "x"}}, f"{CONTROLLERS} edit owner helper"),
    ):
        yield row(f"give a pod {what}", "PATCH", one, {"metadata": metadata}, may)
    debug = {"spec": {"ephemeralContainers": [{"name": "d", "image": "mallory/d"}]}}
    yield row("debug a pod", "PATCH", f"{one}/ephemeralcontainers", debug)
    more = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "11m"}}}]}}
    yield row("resize a pod", "PATCH", f"{one}/resize", more)


def _removals() -> Iterator[Row]:
    """In the foreground they would wait for whatever names the pod or Job as its owner."""
    deleters = {"pods": "operator jobs stranger", "jobs": "operator"}
    for plural, berths in deleters.items():
        kubernetes = berths.replace("operator", "manager")
        one, some = f"{collection(plural)}/matrix", f"{collection(plural)}?labelSelector=berth.dev/instance"
        yield row(f"delete {plural}", "DELETE", one, None, f"{berths} {EDITORS}")
        yield row(f"delete many {plural}", "DELETE", some, None, EDITORS)
        foreground = "propagationPolicy=Foreground"
        yield row(f"delete {plural} in the foreground", "DELETE", f"{one}?{foreground}", None, f"{berths} {kubernetes}")
        yield row(f"delete many {plural} in the foreground", "DELETE", f"{some}&{foreground}", None, "manager")
    evict: Object = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "matrix"}}
    away = f"{collection('pods')}/matrix/eviction"
    yield row("evict a pod", "POST", away, evict, EDITORS)
    waiting = evict | {"deleteOptions": {"propagationPolicy": "Foreground"}}
    yield row("evict a pod in the foreground", "POST", away, waiting, "manager")


def _entries() -> Iterator[Row]:
    pod, service = (f"{collection(plural)}/matrix" for plural in ("pods", "services"))
    for path in ("exec?command=sh&stdout=true", "attach?stdout=true", "portforward?ports=22"):
        yield Row(f"pods/{path}", "POST", f"{pod}/{path}", dry=False)
    for path in (pod, service):
        yield Row(f"{path}/proxy", "GET", f"{path}/proxy/")


def _belongings(plural: str) -> Iterator[Row]:
    where, one = collection(plural), f"{collection(plural)}/matrix"
    makers = {"leases": "api manager", "poddisruptionbudgets": "manager"}.get(plural, "operator manager")
    changers = "manager" if plural == "secrets" else makers
    # Kubernetes' own roles write no EndpointSlices.
    editors = "helper manager" if plural == "endpointslices" else EDITORS
    yield row(f"create {plural}", "POST", where, manifest(plural), f"{makers} {editors}")
    for name in (*RESERVED, RELEASE_CONFIGMAP):
        yield row(f"create {plural} {name}", "POST", where, manifest(plural, name=name), makers)
    for mark in ("label", "annotation"):
        yield row(f"create {plural} with a {mark}", "POST", where, manifest(plural, **MARKS[mark]), makers)
    berths = manifest(plural, labels={MANAGED_BY_LABEL: MANAGED_BY})
    yield row(f"create {plural} by Berth", "POST", where, berths, makers)
    yield row(f"change Berth's {plural}", "PATCH", one, OTHERWISE[plural], changers)
    for what, metadata in ATTEMPTS.items():
        yield row(f"give Berth's {plural} {what}", "PATCH", one, {"metadata": metadata}, changers)
    if "data" in KINDS[plural][2]:
        yield row(f"fix Berth's {plural}", "PATCH", one, {"immutable": True}, changers)
    yield row(f"note something on Berth's {plural}", "PATCH", one, NOTE, f"{changers} {editors}")
    free = {"metadata": {"finalizers": None}}
    yield row(f"take a finalizer of Berth's {plural}", "PATCH", one, free, f"{changers} {editors}")
    if plural == "endpointslices":
        slices = manifest(plural, labels={"kubernetes.io/service-name": RESERVED[2]})
        yield row("create endpoints of a Service of Berth's", "POST", where, slices, makers)
    deleters = "manager" if plural == "endpointslices" else "operator manager"
    yield row(f"delete Berth's {plural}", "DELETE", one, None, deleters)
    yield row(
        f"delete Berth's {plural} together", "DELETE", f"{where}?labelSelector=berth.dev/instance", None, "manager"
    )


def _networks() -> Iterator[Row]:
    """Policies that open, beside Berth's; and the ConfigMap that says who leads, which has one label only."""
    where = collection("networkpolicies")
    may = "operator manager"
    for way in ("ingress", "egress"):
        spec: Object = {"spec": {"podSelector": {}, way: [{}]}}
        yield row(f"create networkpolicies that open {way}", "POST", where, manifest("networkpolicies") | spec, may)
        yield row(f"open {way}", "PATCH", f"{where}/plain", {"spec": {way: [{}]}}, may)
    yield row("close more", "PATCH", f"{where}/plain", OTHERWISE["networkpolicies"], f"{may} {EDITORS}")
    yield row("open more", "PATCH", f"{where}/open", OTHERWISE["networkpolicies"], may)
    yield row("close what is open", "PATCH", f"{where}/open", {"spec": {"egress": None}}, f"{may} {EDITORS}")
    yield row("note something on what is open", "PATCH", f"{where}/open", NOTE, f"{may} {EDITORS}")
    leads = f"{collection('configmaps')}/by-name"
    unmade = {"metadata": {"labels": {MANAGED_BY_LABEL: None}}}
    yield row("take from what leads whose it is", "PATCH", leads, unmade, may)
    yield row("change who leads", "PATCH", leads, OTHERWISE["configmaps"], may)
    yield row("delete who leads", "DELETE", leads, None, may)


def _heartbeats() -> Iterator[Row]:
    """Leases by which machines show that they live, for administrators with the verb `beat` and a right to Leases."""
    where, may = collection("leases"), "owner manager"
    beating, plain = f"{where}/beating", f"{where}/plain"
    new = manifest("leases", labels={HEARTBEAT_LABEL: "true"})
    yield row("create a heartbeat", "POST", where, new, may)
    yield row("renew a heartbeat", "PATCH", beating, OTHERWISE["leases"], may)
    yield row("make a Lease a heartbeat", "PATCH", plain, {"metadata": {"labels": {HEARTBEAT_LABEL: "true"}}}, may)
    yield row("make a heartbeat none", "PATCH", beating, {"metadata": {"labels": {HEARTBEAT_LABEL: None}}}, may)
    yield row("note something on a heartbeat", "PATCH", beating, NOTE, may)
    yield row("delete a heartbeat", "DELETE", beating, None, f"operator {may}")
    together = f"{where}?labelSelector={HEARTBEAT_LABEL}"
    yield row("delete heartbeats together", "DELETE", together, None, may)
    yield row("renew a Lease that is none", "PATCH", plain, OTHERWISE["leases"], f"api {EDITORS}")
