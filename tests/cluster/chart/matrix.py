"""Every request that the matrix asks of everybody, and who may make it: kinds, verbs, and fields that are not for all.

Requests go to real objects, and have no effect. What is not listed for somebody is refused to them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from berth_core.client import Object
from berth_core.names import API_VERSION, FENCE_FINALIZER
from berth_core.resources import KINDS

from .asking import Asking, is_refused
from .conftest import ACCESS, NAMESPACE, WORKSPACES

ACCOUNTS: Final = {
    "viewer": "matrix-viewer",
    "user": "matrix-user",
    "admin": "matrix-admin",
    "edit": "matrix-edit",
    "owner": "matrix-owner",
    **{name: f"system:serviceaccount:{NAMESPACE}:berth-{name}" for name in ("api", "notifier", "operator")},
    "jobs": "system:serviceaccount:kube-system:job-controller",
    "stranger": "system:serviceaccount:kube-system:replicaset-controller",
}
ROLES: Final = {
    "viewer": "berth-viewer",
    "user": "berth-user",
    "admin": "berth-admin",
    "edit": "edit",
    "owner": "admin",
}
"""ClusterRoles of the people; the last two are the cluster's own, which have ours too where the value says so."""
PEOPLE_READ = "viewer user admin edit owner"
USERS = "user admin owner"
ADMINS = "admin owner"
CONTROLLERS = "operator jobs stranger"
USER: Final = ACCOUNTS["user"]
SOMEBODY: Final = "somebody-else"
EVERY_KIND: Final = {kind.PLURAL: kind.KIND for kind in KINDS}
ACCESS_KINDS: Final = ("accounts", "issuedtokens", "tokenrevocations")
WORKSPACE_KINDS: Final = [plural for plural in EVERY_KIND if plural not in ACCESS_KINDS]
SHA: Final = "a" * 64
INSTANCE: Final = {"user": USER, "workspaceType": "matrix"}
SPECS: Final[dict[str, Object]] = {
    "workspacetypes": {"typeName": "other", "template": {"image": "example/workspace"}},
    "workspacedeployments": {"type": "matrix"},
    "instances": INSTANCE,
    "reservations": {"user": USER, "workspaceType": "matrix", "instance": INSTANCE},
    "firewallrules": {"instance": "i", "source": "192.0.2.0/24"},
    "vpnclients": {"instance": "i"},
    "accessrules": {"deployment": "matrix", "capability": "CAP_INSTANTIATE", "ruleID": 1},
    "deliveries": {
        "url": "https://x.test",
        "payload": "{}",
        "id": "x",
        "user": USER,
        "reservation": "x",
        "instance": "x",
    },
    "projects": {"name": "matrix", "user": USER, "repoURL": "https://x.test/a"},
    "builds": {"project": "p", "user": USER, "branch": "main"},
    "accounts": {"user": "x"},
    "issuedtokens": {"sha256": SHA, "user": "x", "issued": "2026-05-01T00:00:00Z", "expires": "2026-05-02T00:00:00Z"},
    "tokenrevocations": {"sha256": SHA, "expires": "2026-05-02T00:00:00Z"},
}
VERBS_TABLE: Final = """
kind                 list                create              update patch               delete              deletecollection status
workspacetypes       people,api,operator admins              admins admins              admins              admins           operator
workspacedeployments people,api,operator admins              admins admins,api,operator admins              admins           operator
instances            people,api,operator users,api,operator  users  users,api,operator  users,operator      admins           operator
reservations         people,api,operator users,api           users  users               users,api,operator  admins           operator
firewallrules        people,api,operator admins,api,operator admins admins,operator     admins,api,operator admins           operator
vpnclients           people,api,operator admins,api          admins admins              admins,api,operator admins           operator
accessrules          people,api,operator admins,api          admins admins              admins,api          admins           -
deliveries           people,notifier     operator            -      -                   admins,notifier     -                notifier
projects             people,api,operator users,api           users  users               users               admins           -
builds               people,api,operator users,api           users  users,api           users,operator      admins           operator
accounts             api,operator        api,operator        -      api                 -                   -                api,operator
issuedtokens         operator            -                   -      -                   operator            -                -
tokenrevocations     api,operator        api                 -      -                   operator            -                -
"""  # noqa: E501
"""Who may do what with an object of their own; requests without a forbidden field."""
GROUPS: Final = {"people": PEOPLE_READ, "users": USERS, "admins": ADMINS, "-": ""}


def _verbs_of(table: str) -> dict[str, dict[str, str]]:
    head, *lines = (line.split() for line in table.strip().splitlines())
    return {
        line[0]: {
            verb: " ".join(GROUPS.get(word, word) for word in cell.split(","))
            for verb, cell in zip(head[1:], line[1:], strict=True)
        }
        for line in lines
    }


VERBS: Final = _verbs_of(VERBS_TABLE)


@dataclass(frozen=True)
class Row:
    """A request, and who may make it (words of ACCOUNTS)."""

    what: str
    method: str
    path: str
    body: Any = None
    may: frozenset[str] = field(default_factory=frozenset)
    dry: bool = True
    """False where the API server knows no request without effect, and nothing is there that it could have one on."""


def collection(plural: str) -> str:
    """Path of a kind of Berth's where its objects are."""
    return f"/apis/{API_VERSION}/namespaces/{ACCESS if plural in ACCESS_KINDS else WORKSPACES}/{plural}"


def manifest(plural: str, spec: Object | None = None, **metadata: Any) -> Object:
    """An object of a kind of Berth's, with fields of its spec replaced."""
    name = SHA if plural in ("issuedtokens", "tokenrevocations") else "matrix"
    return {
        "apiVersion": API_VERSION,
        "kind": EVERY_KIND[plural],
        "metadata": {"name": name} | metadata,
        "spec": SPECS[plural] | (spec or {}),
    }


def existing() -> Iterator[tuple[str, Object]]:
    """What the requests are about: one of each kind, somebody else's of those that have a user, and a pod."""
    for plural in SPECS:
        changed = {"typeName": "matrix", "template": TEMPLATE} if plural == "workspacetypes" else {}
        yield collection(plural), manifest(plural, changed, finalizers=[FENCE_FINALIZER])
    for plural in OWNED:
        yield collection(plural), manifest(plural, _of(plural, SOMEBODY), name="others")
    for name in ("leased", "sound"):
        yield (
            collection("workspacedeployments"),
            manifest("workspacedeployments", name=name, finalizers=[FENCE_FINALIZER]),
        )
    for name, prefix, kind, plural, body in CORE:
        marked = {
            "name": name,
            "labels": {"berth.dev/instance": "i"},
            "finalizers": [FENCE_FINALIZER] * (kind == "Pod"),
        }
        yield _core(prefix, plural), {"apiVersion": prefix, "kind": kind, "metadata": marked} | body


TEMPLATE: Final = {"image": "example/workspace", "nodeSelector": {"bench": "a"}, "devices": {"example.org/arm": 1}}
LEASE: Final = {"instance": "i", "user": "alice", "claimedAt": "2026-05-01T00:00:00Z"}
ILL: Final = {
    "type": "Quarantined",
    "status": "True",
    "reason": "X",
    "message": "x",
    "lastTransitionTime": "2026-05-01T00:00:00Z",
}
NAMED_BY_ID: Final = ("instances", "reservations", "builds")
OWNED: Final = ("instances", "reservations", "projects", "builds")
ASKED: Final = {"requests": {"cpu": "10m", "memory": "16Mi"}}
"""What the chart's LimitRange would add: an update takes nothing away."""
POD: Final = {
    "automountServiceAccountToken": False,
    "containers": [{"name": "c", "image": "example/c", "resources": ASKED}],
}
POD_TEMPLATE: Final = {"metadata": {"labels": {"a": "b"}}, "spec": POD}
SELECTED: Final = {"selector": {"matchLabels": {"a": "b"}}, "template": POD_TEMPLATE}
JOB: Final = {"template": {"spec": POD | {"restartPolicy": "Never"}}}
CORE: Final[tuple[tuple[str, str, str, str, Object], ...]] = (
    ("matrix", "v1", "Pod", "pods", {"spec": POD}),
    ("matrix", "v1", "Secret", "secrets", {"data": {}}),
    ("matrix", "v1", "ConfigMap", "configmaps", {"data": {}}),
    ("matrix", "v1", "Service", "services", {"spec": {"ports": [{"port": 22}]}}),
    ("matrix", "networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", {"spec": {"podSelector": {}}}),
    ("matrix", "policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", {"spec": {"minAvailable": 1}}),
    ("matrix", "coordination.k8s.io/v1", "Lease", "leases", {"spec": {}}),
)
"""Of Kubernetes' own kinds one that Berth has marked: name, apiVersion, kind, plural, and the rest."""
WORKLOADS: Final[tuple[tuple[str, str, str, Object], ...]] = (
    ("v1", "Pod", "pods", {"spec": POD}),
    (
        "v1",
        "ReplicationController",
        "replicationcontrollers",
        {"spec": {"selector": {"a": "b"}, "template": POD_TEMPLATE}},
    ),
    ("apps/v1", "Deployment", "deployments", {"spec": SELECTED}),
    ("apps/v1", "ReplicaSet", "replicasets", {"spec": SELECTED}),
    ("apps/v1", "StatefulSet", "statefulsets", {"spec": SELECTED | {"serviceName": "x"}}),
    ("apps/v1", "DaemonSet", "daemonsets", {"spec": SELECTED}),
    ("batch/v1", "Job", "jobs", {"spec": JOB}),
    ("batch/v1", "CronJob", "cronjobs", {"spec": {"schedule": "@daily", "jobTemplate": {"spec": JOB}}}),
)


def statuses() -> dict[str, Object]:
    """Statuses of the deployments among them, by name."""
    begun = {"observedGeneration": 1}
    return {"sound": begun, "leased": {"epoch": 1, "lease": LEASE}, "matrix": {"epoch": 1, "conditions": [ILL]}}


def rows() -> list[Row]:
    """The whole matrix."""
    return [*_verbs(), *_marks(), *_fields(), *_templates(), *_statuses(), *_workloads(), *_entries(), *_belongings()]


def sent(ask: Asking, who: str, row: Row) -> bool:
    """Make a request in somebody's name; whether it was granted. What is replaced is replaced by itself."""
    body = ask("", "GET", row.path).json() if row.method == "PUT" else row.body
    return not is_refused(ask(who, row.method, row.path, body, dry=row.dry))


def _row(what: str, method: str, path: str, body: Any = None, may: str = "") -> Row:
    return Row(what, method, path, body, frozenset(may.split()))


def _verbs() -> Iterator[Row]:
    for plural, may in VERBS.items():
        where = collection(plural)
        one = f"{where}/{manifest(plural)['metadata']['name']}"
        new = manifest(plural) if plural in ("issuedtokens", "tokenrevocations") else manifest(plural, name="new")
        status: Object = {"status": {"conditions": []}} if plural != "accounts" else {"status": {"slots": []}}
        yield _row(f"list {plural}", "GET", where, None, may["list"])
        if new["metadata"]["name"] == "new":
            yield _row(f"create {plural}", "POST", where, new, may["create"])
        yield _row(f"update {plural}", "PUT", one, None, may["update"])
        yield _row(f"patch {plural}", "PATCH", one, {}, may["patch"])
        yield _row(f"delete {plural}", "DELETE", one, None, may["delete"])
        yield _row(f"deletecollection {plural}", "DELETE", where + "?labelSelector=a=b", None, may["deletecollection"])
        if plural not in ("workspacetypes", "accessrules", "projects", "issuedtokens", "tokenrevocations"):
            yield _row(f"status of {plural}", "PATCH", f"{one}/status", status, may["status"])
    for plural in OWNED:
        acting = "admin owner api operator"
        for verb, method, body in (("patch", "PATCH", {}), ("delete", "DELETE", None)):
            may_verb = " ".join(who for who in VERBS[plural][verb].split() if who in acting.split())
            yield _row(f"{verb} another's {plural}", method, f"{collection(plural)}/others", body, may_verb)


MARKS: Final[dict[str, Object]] = {
    "label": {"labels": {"berth.dev/build": "x"}},
    "annotation": {"annotations": {"berth.dev/queued": "x"}},
    "owner": {"ownerReferences": [{"apiVersion": API_VERSION, "kind": "Build", "name": "b", "uid": "u"}]},
}
ID: Final = "01900000-0000-7000-8000-000000000001"
RESERVED: Final = [
    *(f"{letter}-{ID}-1" for letter in "biwvp"),
    "p-" + "a" * 40,
]


def _marks() -> Iterator[Row]:
    for plural in WORKSPACE_KINDS:
        one = f"{collection(plural)}/matrix"
        makers = " ".join({"api", "operator"} & set(VERBS[plural]["create"].split()))
        changers = " ".join({"operator"} & set(VERBS[plural]["patch"].split()))
        for mark, metadata in MARKS.items():
            new = manifest(plural, name="new", **metadata)
            yield _row(f"create {plural} with a {mark}", "POST", collection(plural), new, makers)
            yield _row(f"give {plural} a {mark}", "PATCH", one, {"metadata": metadata}, changers)
        for name in [*RESERVED, *[ID] * (plural in NAMED_BY_ID)]:
            yield _row(f"create {plural} {name}", "POST", collection(plural), manifest(plural, name=name), makers)
    reason = {"metadata": {"annotations": {"berth.dev/release-reason": "x"}}}
    yield _row("give a reason for an end", "PATCH", f"{collection('instances')}/matrix", reason, f"{ADMINS} operator")
    freed = {"metadata": {"finalizers": None}}
    yield _row("take an instance's fence", "PATCH", f"{collection('instances')}/matrix", freed, f"{ADMINS} operator")
    leased = f"{collection('workspacedeployments')}/leased"
    yield _row("take a leased deployment's fence", "PATCH", leased, freed)
    yield _row("delete a leased deployment", "DELETE", leased)


def _of(plural: str, user: str) -> Object:
    inner = {"instance": INSTANCE | {"user": user}} if plural == "reservations" else {}
    return {"user": user} | inner


def _fields() -> Iterator[Row]:
    claim = {"claim": {"deployment": "d", "epoch": 1}}
    secret = {"credentials": {"secret": "x"}}

    def create(what: str, plural: str, spec: Object, may: str = "") -> Row:
        return _row(f"create {plural} with {what}", "POST", collection(plural), manifest(plural, spec, name="new"), may)

    for plural in OWNED:
        makers = {"admin", "owner", "api", "operator"} & set(VERBS[plural]["create"].split())
        yield create("another's user", plural, _of(plural, SOMEBODY), " ".join(makers))
    yield create("a claim", "instances", claim, "api operator")
    yield create("a claim inside", "reservations", {"instance": INSTANCE | claim})
    yield create("superuser", "reservations", {"superuser": True}, f"{ADMINS} api")
    yield create("priority", "reservations", {"priority": 1}, ADMINS)
    yield create("priority", "builds", {"priority": 1}, ADMINS)
    # The cluster's own admin may read Secrets.
    yield create("credentials", "projects", secret, "owner")
    yield _row("give projects credentials", "PATCH", f"{collection('projects')}/matrix", {"spec": secret}, "owner")
    machine = f"{collection('workspacedeployments')}/matrix"
    for what, spec, may in (
        ("region", {"region": "x"}, ADMINS),
        ("owners", {"owners": ["x"]}, ADMINS),
        ("quarantineRelease", {"quarantineRelease": {"epoch": 1}}, ADMINS),
        ("dissolved", {"dissolved": "2026-01-01T00:00:00Z"}, ADMINS),
        ("lockout", {"lockout": True}, f"{ADMINS} api"),
    ):
        yield _row(f"change a deployment's {what}", "PATCH", machine, {"spec": spec}, may)
    for what, added, may in (
        ("another node", {"nodeSelector": {"bench": "b"}}, ""),
        ("another number of devices", {"devices": {"example.org/arm": 0}}, ""),
        ("what is no device", {"devices": {"cpu": 64}}, ""),
        (
            "more",
            {
                "nodeSelector": {"bench": "a", "robot": "7"},
                "devices": {"example.org/cam": 1},
                "env": [{"name": "A", "value": "b"}],
            },
            ADMINS,
        ),
    ):
        yield create(f"overrides of {what}", "workspacedeployments", {"overrides": added}, may)
        yield _row(f"give a deployment overrides of {what}", "PATCH", machine, {"spec": {"overrides": added}}, may)


def _templates() -> Iterator[Row]:
    mount = {"name": "v", "mountPath": "/v"}
    for what, part, may in (
        ("privileged", {"privileged": True}, ""),
        ("addCapabilities", {"addCapabilities": ["SYS_ADMIN"]}, ""),
        ("hostPath", {"volumes": [mount | {"hostPath": {"path": "/dev"}}]}, ""),
        ("tolerations", {"tolerations": [{"operator": "Exists"}]}, ""),
        ("runtimeClassName", {"runtimeClassName": "x"}, ""),
        # Whoever may get them; the cluster's own admin may.
        ("a ConfigMap", {"volumes": [mount | {"configMap": {"name": "x"}}]}, "owner"),
        ("a PersistentVolumeClaim", {"volumes": [mount | {"persistentVolumeClaim": {"name": "x"}}]}, "owner"),
        ("imagePullSecrets", {"imagePullSecrets": [{"name": "x"}]}, "owner"),
        ("resourceClaims", {"resourceClaims": [{"name": "x", "resourceClaimTemplateName": "x"}]}, "owner"),
        ("a folder", {"volumes": [mount | {"emptyDir": {}}]}, ADMINS),
    ):
        spec: Object = {"template": {"image": "example/workspace"} | part}
        new = manifest("workspacetypes", spec, name="new")
        yield _row(f"create a type with {what}", "POST", collection("workspacetypes"), new, may)
        yield _row(f"give a type {what}", "PATCH", f"{collection('workspacetypes')}/matrix", {"spec": spec}, may)


def _statuses() -> Iterator[Row]:
    free, ill, leased = (
        f"{collection('workspacedeployments')}/{name}/status" for name in ("sound", "matrix", "leased")
    )
    available = ILL | {"type": "Available"}
    for what, path, status, may in (
        ("take a lease", free, {"lease": LEASE, "epoch": 1, "conditions": [available]}, "api operator"),
        ("take a lease in quarantine", ill, {"lease": LEASE, "epoch": 2, "conditions": [available, ILL]}, "operator"),
        ("take a lease and end a quarantine", ill, {"lease": LEASE, "epoch": 2, "conditions": [available]}, "operator"),
        ("take a lease and begin a quarantine", free, {"lease": LEASE, "epoch": 1, "conditions": [ILL]}, "operator"),
        ("take a lease and count", free, {"lease": LEASE, "epoch": 1, "instances": 7}, "operator"),
        ("give a lease back", leased, {"lease": None}, "operator"),
        ("end a quarantine", ill, {"conditions": []}, "operator"),
        ("say that it is online", leased, {"conditions": [ILL | {"type": "Online"}]}, "operator"),
        ("raise an epoch", ill, {"epoch": 9}, ""),
        ("write a first epoch", free, {"epoch": 9}, "operator"),
        ("write an id", free, {"id": "x"}, "operator"),
    ):
        yield _row(what, "PATCH", path, {"status": status}, may)
    kind = f"{collection('workspacetypes')}/matrix/status"
    yield _row("mark a type", "PATCH", kind, {"status": {"admissionMark": "x"}}, "api operator")
    yield _row(
        "say that a type is ready", "PATCH", kind, {"status": {"conditions": [ILL | {"type": "Ready"}]}}, "operator"
    )


def _core(version: str, plural: str) -> str:
    return f"/{'api' if version == 'v1' else 'apis'}/{version}/namespaces/{WORKSPACES}/{plural}"


def _workloads() -> Iterator[Row]:
    by_berth = {"pods": "operator", "jobs": "operator"}
    for version, kind, plural, body in WORKLOADS:
        new = {"apiVersion": version, "kind": kind, "metadata": {"name": "new"}} | body
        yield _row(f"create {plural}", "POST", _core(version, plural), new, by_berth.get(plural, ""))
    job = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u", "controller": True}
    for owner, may in ((job, "operator jobs"), (job | {"apiVersion": "apps/v1", "kind": "ReplicaSet"}, "operator")):
        owned = {"name": "new", "ownerReferences": [owner]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": owned, "spec": POD}
        yield _row(f"create a pod of a {owner['kind']}", "POST", _core("v1", "pods"), pod, may)
    one = f"{_core('v1', 'pods')}/matrix"
    for what, body, may in (
        (
            "another image",
            {"spec": {"containers": [{"name": "c", "image": "mallory/c", "resources": ASKED}]}},
            "operator",
        ),
        ("another label", {"metadata": {"labels": {"berth.dev/instance": "j"}}}, CONTROLLERS),
        ("no fence", {"metadata": {"finalizers": None}}, CONTROLLERS),
        (
            "an end by force",
            {"metadata": {"annotations": {"berth.dev/released-by-force": "x"}}},
            CONTROLLERS,
        ),
        ("another owner", {"metadata": {"ownerReferences": [job]}}, CONTROLLERS),
        ("a note", {"metadata": {"annotations": {"example.org/note": "x"}}}, f"{CONTROLLERS} edit owner"),
    ):
        yield _row(f"give a pod {what}", "PATCH", one, body, may)
    debug = {"spec": {"ephemeralContainers": [{"name": "d", "image": "mallory/d"}]}}
    yield _row("debug a pod", "PATCH", f"{one}/ephemeralcontainers", debug)


def _entries() -> Iterator[Row]:
    pod, service = (f"{_core('v1', plural)}/matrix" for plural in ("pods", "services"))
    for path in ("exec?command=sh&stdout=true", "attach?stdout=true", "portforward?ports=22"):
        yield Row(f"pods/{path}", "POST", f"{pod}/{path}", dry=False)
    for path in (pod, service):
        yield Row(f"{path}/proxy", "GET", f"{path}/proxy/")


def _belongings() -> Iterator[Row]:
    writers = {
        "secrets": "operator",
        "configmaps": "operator",
        "services": "operator",
        "networkpolicies": "operator",
        "poddisruptionbudgets": "operator",
        "leases": "api",
    }
    changers = {"secrets": "", "leases": "api"}
    deleters = {"leases": "operator"}
    for _, version, kind, plural, body in CORE[1:]:
        where = _core(version, plural)
        new: Object = {"apiVersion": version, "kind": kind, "metadata": {"name": "new"}} | body
        plain = (
            f"{writers[plural]} edit owner"
            if plural not in ("networkpolicies", "poddisruptionbudgets", "leases")
            else ""
        )
        if plain:
            yield _row(f"create {plural}", "POST", where, new, plain)
        for name in RESERVED:
            yield _row(f"create {plural} {name}", "POST", where, new | {"metadata": {"name": name}}, writers[plural])
        marked = new | {"metadata": {"name": "new", "labels": {"berth.dev/instance": "i"}}}
        yield _row(f"create {plural} with a label", "POST", where, marked, writers[plural])
        change = {"data": {"a": "Yg=="}} if "data" in body else {"spec": _changed(plural)}
        yield _row(
            f"change Berth's {plural}", "PATCH", f"{where}/matrix", change, changers.get(plural, writers[plural])
        )
        yield _row(f"delete Berth's {plural}", "DELETE", f"{where}/matrix", None, deleters.get(plural, writers[plural]))


def _changed(plural: str) -> Object:
    specs: dict[str, Object] = {
        "services": {"selector": {"app": "mallory"}},
        "networkpolicies": {"podSelector": {"matchLabels": {"nobody": "x"}}},
        "poddisruptionbudgets": {"minAvailable": 0},
        "leases": {"holderIdentity": "x"},
    }
    return specs[plural]
