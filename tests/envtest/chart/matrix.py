"""All requests of the matrix, and the accounts that may make them: kinds, verbs, and fields that are not for all.

Requests go to real objects, and have no effect. A request that is not listed for an account is refused to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx

from berth_core.kube.types import Object
from berth_core.names import API_VERSION, FENCE_FINALIZER
from berth_core.resources import KINDS
from berth_dev.envtest.asking import APPLY, Asking

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
    "manager": "system:kube-controller-manager",
    "helper": "matrix-helper",
}
ROLES: Final = {
    "viewer": "berth-viewer",
    "user": "berth-user",
    "admin": "berth-admin",
    "edit": "edit",
    "owner": "admin",
    "manager": "matrix-kubernetes",
    "helper": "matrix-kubernetes",
}
"""ClusterRoles: ours, the cluster's own, which have ours too where the value says so, and one of the matrix itself."""
PEOPLE_READ = "viewer user admin edit owner"
USERS = "user admin owner"
ADMINS = "admin owner"
USER: Final = ACCOUNTS["user"]
SOMEBODY: Final = "somebody-else"
EVERY_KIND: Final = {kind.PLURAL: kind.KIND for kind in KINDS}
ACCESS_KINDS: Final = ("accounts", "issuedtokens", "tokenrevocations")
WORKSPACE_KINDS: Final = [plural for plural in EVERY_KIND if plural not in ACCESS_KINDS]
SHA: Final = "a" * 64
OTHER: Final = "b" * 64
INSTANCE: Final = {"user": USER, "workspaceType": "matrix"}
SPECS: Final[dict[str, Object]] = {
    "workspacetypes": {"typeName": "other", "template": {"image": "example/workspace"}},
    "workspacedeployments": {"type": "matrix"},
    "instances": INSTANCE,
    "reservations": {"user": USER, "workspaceType": "matrix", "instance": INSTANCE},
    "firewallrules": {"instance": "i", "source": "192.0.2.0/24"},
    "vpnclients": {"instance": "i"},
    "accessrules": {"deployment": "matrix", "capability": "CAP_INSTANTIATE", "ruleID": 1},
    "machinegrants": {"users": ["x"], "types": ["matrix"], "networks": [{"cidr": "192.0.2.0/24"}]},
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
kind                 list                watch               get                 create              update patch               delete              deletecollection status
workspacetypes       people,api,operator people,api,operator people,api,operator admins              admins admins              admins              admins           operator
workspacedeployments people,api,operator people,api,operator people,api,operator admins              admins admins,api,operator admins              admins           operator
machinegrants        people,api,operator people,operator     people,operator     admins              admins admins              admins              admins           operator
instances            people,api,operator people,api,operator people,api,operator users,api,operator  users  users,api,operator  users,operator      admins           operator
reservations         people,api,operator people,api,operator people,api,operator users,api           users  users               users,api,operator  admins           operator
firewallrules        people,api,operator people,operator     people,operator     admins,api,operator admins admins,operator     admins,api,operator admins           operator
vpnclients           people,api,operator people,api,operator people              admins,api          admins admins              admins,api,operator admins           operator
accessrules          people,api,operator people,api,operator people              admins,api          admins admins              admins,api          admins           -
deliveries           people,notifier,operator people,notifier     people,notifier     operator            -      -                   admins,notifier     -                notifier
projects             people,api,operator people,operator     people,api,operator users,api           users  users               users               admins           -
builds               people,api,operator people,api,operator people,api,operator users,api           users  users,api           users,operator      admins           operator
accounts             api,operator        api                 api,operator        api,operator        -      api                 -                   -                api,operator
issuedtokens         operator            -                   api                 -                   -      -                   operator            -                -
tokenrevocations     api,operator        api                 -                   api                 -      -                   operator            -                -
"""  # noqa: E501 (a table)
"""Accounts by what they may do with an object of their own; requests without a forbidden field."""
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
    kind: str = "application/json"
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
    """Objects that the requests are about: one of each kind, one that Berth has marked, and somebody else's."""
    for plural in SPECS:
        changed = {"typeName": "matrix", "template": TEMPLATE} if plural == "workspacetypes" else {}
        yield collection(plural), manifest(plural, changed, finalizers=[FENCE_FINALIZER], labels=SELECTED)
    for plural in WORKSPACE_KINDS:
        named = {"typeName": "marked"} if plural == "workspacetypes" else {}
        marks = MARKS["label"] | MARKS["annotation"]
        yield collection(plural), manifest(plural, named, name="marked", **marks)
    for plural in OWNED:
        yield collection(plural), manifest(plural, _of(plural, SOMEBODY), name="others")
    retired = {"grant": "matrix", "dissolved": "2026-05-01T00:00:00Z"}
    for name, spec in (("leased", {}), ("sound", {}), ("retired", retired)):
        yield (
            collection("workspacedeployments"),
            manifest("workspacedeployments", spec, name=name, finalizers=[FENCE_FINALIZER], labels={"named": name}),
        )


SELECTED: Final = {"a": "b"}
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


def statuses() -> dict[str, Object]:
    """Statuses of the deployments among them, by name."""
    begun = {"observedGeneration": 1}
    return {"sound": begun, "leased": {"epoch": 1, "lease": LEASE}, "matrix": {"epoch": 1, "conditions": [ILL]}}


def rows() -> list[Row]:
    """The part of Berth's kinds."""
    return [*_verbs(), *_marks(), *untimely(), *_owners(), *_ways(), *_sizes(), *_fields(), *_templates(), *_statuses()]


def sent(ask: Asking, who: str, row: Row) -> bool:
    """Make a request in somebody's name; whether it was granted. A PUT replaces an object by itself."""
    body = ask("", "GET", row.path).json() if row.method == "PUT" else row.body
    return not is_refused(ask(who, row.method, row.path, body, dry=row.dry, kind=row.kind))


def is_refused(answer: httpx.Response) -> bool:
    """Whether a right or a policy is in the way. Other refusals than that fail the test."""
    if answer.status_code < 300:
        return False
    assert answer.status_code == 403 or "ValidatingAdmissionPolicy" in answer.text, answer.text
    return True


def row(what: str, method: str, path: str, body: Any = None, may: str = "") -> Row:
    """A request without effect, and the words of those who may make it."""
    return Row(what, method, path, body, frozenset(may.split()))


def _verbs() -> Iterator[Row]:
    for plural, may in VERBS.items():
        where = collection(plural)
        one = f"{where}/{manifest(plural)['metadata']['name']}"
        is_digest = plural in ("issuedtokens", "tokenrevocations")
        new = manifest(plural, {"sha256": OTHER}, name=OTHER) if is_digest else manifest(plural, name="new")
        status: Object = {"status": {"conditions": []}} if plural != "accounts" else {"status": {"slots": []}}
        # Kubernetes' own controllers list and watch whatever there is.
        yield row(f"list {plural}", "GET", where, None, f"{may['list']} manager")
        yield row(f"watch {plural}", "GET", f"{where}?watch=1", None, f"{may['watch']} manager")
        yield row(f"get {plural}", "GET", one, None, may["get"])
        yield row(f"create {plural}", "POST", where, new, may["create"])
        yield row(f"update {plural}", "PUT", one, None, may["update"])
        yield row(f"patch {plural}", "PATCH", one, {}, may["patch"])
        yield row(f"delete {plural}", "DELETE", one, None, may["delete"])
        yield row(f"deletecollection {plural}", "DELETE", where + "?labelSelector=a%3Db", None, may["deletecollection"])
        if plural not in ("workspacetypes", "accessrules", "projects", "issuedtokens", "tokenrevocations"):
            yield row(f"status of {plural}", "PATCH", f"{one}/status", status, may["status"])
    for plural in OWNED:
        acting = "admin owner api operator"
        for verb, method, body in (("patch", "PATCH", {}), ("delete", "DELETE", None)):
            may_verb = " ".join(who for who in VERBS[plural][verb].split() if who in acting.split())
            yield row(f"{verb} another's {plural}", method, f"{collection(plural)}/others", body, may_verb)


MARKS: Final[dict[str, Object]] = {
    "label": {"labels": {"berth.dev/build": "x"}},
    "annotation": {"annotations": {"berth.dev/queued": "x"}},
    "owner": {"ownerReferences": [{"apiVersion": API_VERSION, "kind": "Build", "name": "b", "uid": "u"}]},
    "finalizer": {"finalizers": ["example.org/kept"]},
}
FOREIGN: Final[dict[str, Any]] = {
    "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "u"}]
}
ID: Final = "01900000-0000-7000-8000-000000000001"
RESERVED: Final = (f"b-{ID}-1", f"i-{ID}", f"m-{ID}", "p-" + "a" * 40)


def _marks() -> Iterator[Row]:
    for plural in WORKSPACE_KINDS:
        one = f"{collection(plural)}/matrix"
        makers = " ".join({"api", "operator"} & set(VERBS[plural]["create"].split()))
        changers = " ".join({"operator"} & set(VERBS[plural]["patch"].split()))
        for mark, metadata in MARKS.items():
            new = manifest(plural, name="new", **metadata)
            # A deployment that goes with its owner is as good as deleted.
            owned = mark == "owner" and plural == "workspacedeployments"
            yield row(f"create {plural} with a {mark}", "POST", collection(plural), new, makers)
            yield row(f"give {plural} a {mark}", "PATCH", one, {"metadata": metadata}, "" if owned else changers)
        marked = f"{collection(plural)}/marked"
        for what, metadata in (
            ("another label", {"labels": {"berth.dev/build": "y"}}),
            ("no label", {"labels": {"berth.dev/build": None}}),
            ("another annotation", {"annotations": {"berth.dev/queued": "y"}}),
            ("no annotation", {"annotations": {"berth.dev/queued": None}}),
            ("no owner", {"ownerReferences": None}),
        ):
            yield row(f"give marked {plural} {what}", "PATCH", marked, {"metadata": metadata}, changers)
        for name in [*RESERVED, *[ID] * (plural in NAMED_BY_ID)]:
            yield row(f"create {plural} {name}", "POST", collection(plural), manifest(plural, name=name), makers)
    reason = {"metadata": {"annotations": {"berth.dev/release-reason": "x"}}}
    yield row("give a reason for an end", "PATCH", f"{collection('instances')}/matrix", reason, f"{ADMINS} operator")
    freed = {"metadata": {"finalizers": None}}
    yield row("take an instance's fence", "PATCH", f"{collection('instances')}/matrix", freed, f"{ADMINS} operator")
    machines = collection("workspacedeployments")
    yield row("take a leased deployment's fence", "PATCH", f"{machines}/leased", freed)
    yield row("delete a leased deployment", "DELETE", f"{machines}/leased")
    yield row("delete a retired deployment", "DELETE", f"{machines}/retired", None, f"{ADMINS} operator")
    yield row("delete a leased deployment among others", "DELETE", f"{machines}?labelSelector=named%3Dleased")
    yield row("delete others among them", "DELETE", f"{machines}?labelSelector=named%3Dsound", None, ADMINS)


OWNING: Final = ("instances", "projects", "builds")
"""Kinds whose parts are cleared one after the other, while they are there still."""
WAYS: Final = ("propagationPolicy=Foreground", "propagationPolicy=Orphan", "orphanDependents=true")
KEEPING: Final = ("foregroundDeletion", "orphan")


def untimely() -> Iterator[Row]:
    """Deletions by which parts would go first, or be nobody's: only Kubernetes' own controllers ask for them."""
    for plural in OWNING:
        where, one = collection(plural), f"{collection(plural)}/matrix"
        for way in WAYS:
            yield row(f"delete {plural} by {way}", "DELETE", f"{one}?{way}")
            yield row(f"delete many {plural} by {way}", "DELETE", f"{where}?labelSelector=a%3Db&{way}")
        for finalizer in KEEPING:
            kept = manifest(plural, name="new", finalizers=[finalizer])
            yield row(f"create {plural} with {finalizer}", "POST", where, kept)
            more: Object = {"metadata": {"finalizers": [FENCE_FINALIZER, finalizer]}}
            yield row(f"give {plural} {finalizer}", "PATCH", one, more)


def _owners() -> Iterator[Row]:
    """Owners of other kinds: what has one goes when that goes, and as that goes."""
    for plural in WORKSPACE_KINDS:
        may = VERBS[plural]
        makers, changers = set(may["create"].split()), set(may["patch"].split())
        if plural in OWNING:
            makers, changers = makers & {"api", "operator"}, changers & {"operator"}
        if plural == "workspacedeployments":
            makers, changers = set(), set()  # it goes with its owner, even while somebody has it
        new = manifest(plural, name="new", **FOREIGN)
        yield row(f"create {plural} with another owner", "POST", collection(plural), new, " ".join(makers))
        for name in ("matrix", "leased", "sound") if plural == "workspacedeployments" else ("matrix",):
            one = f"{collection(plural)}/{name}"
            yield row(f"give {plural} {name} another owner", "PATCH", one, {"metadata": FOREIGN}, " ".join(changers))


def _ways() -> Iterator[Row]:
    """Other ways to make something: without a name of its own, and by server-side apply."""
    where = collection("instances")
    for what, marks, may in (("", {}, f"{USERS} api operator"), (" with a label", MARKS["label"], "api operator")):
        new = manifest("instances", generateName="new-", **marks)
        del new["metadata"]["name"]
        yield row(f"create instances without a name{what}", "POST", where, new, may)
        applied = manifest("instances", name="applied", **marks)
        path = f"{where}/applied?fieldManager=matrix"
        yield replace(row(f"apply instances{what}", "PATCH", path, applied, may), kind=APPLY)


def _sizes() -> Iterator[Row]:
    long = {"annotations": {"example.org/long": "x" * 32_768}}
    for plural in WORKSPACE_KINDS:
        makers = " ".join({"api", "operator"} & set(VERBS[plural]["create"].split()))
        new = manifest(plural, name="new", **long)
        yield row(f"create {plural} with long notes", "POST", collection(plural), new, makers)
    one = f"{collection('instances')}/matrix"
    yield row("give instances long notes", "PATCH", one, {"metadata": long}, "operator")
    keys: Object = {"sshKeys": ["x" * 8_192, "y" * 8_193]}
    for plural, spec in (("instances", keys), ("reservations", {"instance": INSTANCE | keys})):
        makers = " ".join({"api", "operator"} & set(VERBS[plural]["create"].split()))
        new = manifest(plural, spec, name="new")
        yield row(f"create {plural} with long keys", "POST", collection(plural), new, makers)


def _of(plural: str, user: str) -> Object:
    inner = {"instance": INSTANCE | {"user": user}} if plural == "reservations" else {}
    return {"user": user} | inner


def _fields() -> Iterator[Row]:
    claim = {"claim": {"deployment": "d", "epoch": 1}}
    secret = {"credentials": {"secret": "x"}}

    def create(what: str, plural: str, spec: Object, may: str = "") -> Row:
        return row(f"create {plural} with {what}", "POST", collection(plural), manifest(plural, spec, name="new"), may)

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
    yield row("give projects credentials", "PATCH", f"{collection('projects')}/matrix", {"spec": secret}, "owner")
    machine = f"{collection('workspacedeployments')}/matrix"
    for what, spec, may in (
        ("region", {"region": "x"}, ADMINS),
        ("owners", {"owners": ["x"]}, ADMINS),
        ("quarantineRelease", {"quarantineRelease": {"epoch": 1}}, ADMINS),
        ("dissolved", {"dissolved": "2026-01-01T00:00:00Z"}, ADMINS),
        ("lockout", {"lockout": True}, f"{ADMINS} api"),
    ):
        yield row(f"change a deployment's {what}", "PATCH", machine, {"spec": spec}, may)
    for what, added, may in (
        ("another node", {"nodeSelector": {"bench": "b"}}, ""),
        ("another number of devices", {"devices": {"example.org/arm": 0}}, ""),
        ("no device", {"devices": {"cpu": 64}}, ""),
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
        yield row(f"give a deployment overrides of {what}", "PATCH", machine, {"spec": {"overrides": added}}, may)


def _templates() -> Iterator[Row]:
    mount = {"name": "v", "mountPath": "/v"}
    for what, part, may in (
        ("privileged", {"privileged": True}, ""),
        ("addCapabilities", {"addCapabilities": ["SYS_ADMIN"]}, ""),
        ("hostPath", {"volumes": [mount | {"hostPath": {"path": "/dev"}}]}, ""),
        ("tolerations", {"tolerations": [{"operator": "Exists"}]}, ""),
        ("runtimeClassName", {"runtimeClassName": "x"}, ""),
        # For accounts that may get these objects, such as the cluster's own admin.
        ("a ConfigMap", {"volumes": [mount | {"configMap": {"name": "x"}}]}, "owner"),
        ("a PersistentVolumeClaim", {"volumes": [mount | {"persistentVolumeClaim": {"name": "x"}}]}, "owner"),
        ("imagePullSecrets", {"imagePullSecrets": [{"name": "x"}]}, "owner"),
        ("resourceClaims", {"resourceClaims": [{"name": "x", "resourceClaimTemplateName": "x"}]}, "owner"),
        ("a folder", {"volumes": [mount | {"emptyDir": {}}]}, ADMINS),
    ):
        spec: Object = {"template": {"image": "example/workspace"} | part}
        new = manifest("workspacetypes", spec, name="new")
        yield row(f"create a type with {what}", "POST", collection("workspacetypes"), new, may)
        yield row(f"give a type {what}", "PATCH", f"{collection('workspacetypes')}/matrix", {"spec": spec}, may)


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
        yield row(what, "PATCH", path, {"status": status}, may)
    kind = f"{collection('workspacetypes')}/matrix/status"
    yield row("mark a type", "PATCH", kind, {"status": {"admissionMark": "x"}}, "api operator")
    yield row(
        "say that a type is ready", "PATCH", kind, {"status": {"conditions": [ILL | {"type": "Ready"}]}}, "operator"
    )
