"""The admission policies: a table of who may do what with kubectl, and what the others are told."""

import json
import uuid
from functools import partial
from typing import Any

import pytest
from amount import but_first
from loosening import loosened

from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import asking
from berth_dev.errors import ClusterError

from .conftest import (
    ACCESS,
    NAMESPACE,
    TOLD,
    WORKSPACES,
    Helm,
    MakePerson,
    Person,
    applied,
    introduce,
    policies_hold,
    raise_epoch,
    status_writer,
    until,
)

API_ACCOUNT = f"system:serviceaccount:{NAMESPACE}:berth-api"
OPERATOR_ACCOUNT = f"system:serviceaccount:{NAMESPACE}:berth-operator"
CLAIM = {"deployment": "misty-1", "epoch": 1}


def named(kind: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    meta = {"name": f"x-{uuid.uuid4().hex[:12]}", "namespace": WORKSPACES} | metadata
    return {"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def instance(user: str, **spec: Any) -> dict[str, Any]:
    return named("Instance", {"user": user, "workspaceType": "misty"} | spec)


def reservation(user: str, inner: str | None = None, **spec: Any) -> dict[str, Any]:
    wanted = {"user": inner or user, "workspaceType": "misty"} | spec.pop("instance", {})
    return named("Reservation", {"user": user, "workspaceType": "misty", "instance": wanted} | spec)


def with_id(obj: dict[str, Any]) -> dict[str, Any]:
    """Named as the API names what it makes, and perhaps as it has named something before."""
    obj["metadata"]["name"] = str(uuid.uuid4())
    return obj


def wtype(**template: Any) -> dict[str, Any]:
    name = f"t_{uuid.uuid4().hex[:12]}"
    return named("WorkspaceType", {"typeName": name, "template": {"image": "example/workspace"} | template})


def project(user: str, **spec: Any) -> dict[str, Any]:
    return named("Project", {"name": f"p-{uuid.uuid4().hex[:8]}", "user": user, "repoURL": "https://x.test/a"} | spec)


def build(user: str, **spec: Any) -> dict[str, Any]:
    return named("Build", {"project": "p", "user": user, "branch": "main"} | spec)


DEPLOY_KEY = {"credentials": {"secret": "deploy-key"}}
OPEN_TO_ALL = {"deployment": "misty-1", "capability": "CAP_INSTANTIATE", "ruleID": 1}
REVOKED = {"sha256": "a" * 64, "expires": "2030-01-01T00:00:00Z"}
WEBHOOK = {"url": "https://x.test", "payload": "{}", "id": "x", "user": "x", "reservation": "x", "instance": "x"}
BERTHS_NAME = {"metadata": {"name": "01900000-0000-5000-8000-000000000001", "namespace": WORKSPACES}}
HOST_PATH = {"volumes": [{"name": "v", "mountPath": "/v", "hostPath": {"path": "/dev"}}]}
SCRATCH = {"volumes": [{"name": "v", "mountPath": "/v", "emptyDir": {}}]}

ACCEPTED = [
    ("alice", "berth-user", instance("alice")),
    ("alice", "edit", instance("alice")),
    ("lab-admin", "berth-admin", instance("alice")),
    ("lab-admin", "admin", instance("alice")),
    ("alice", "berth-user", reservation("alice")),
    ("alice", "berth-user", reservation("alice", priority=0)),
    ("lab-admin", "berth-admin", reservation("alice", priority=10)),
    ("alice", "berth-user", project("alice")),
    ("alice", "berth-user", build("alice")),
    ("dora", "edit", project("dora", **DEPLOY_KEY)),
    ("alice", "berth-user", project("alice", commitStatus=TOLD["commitStatus"] | {"secret": None})),
    ("alice", "berth-user", project("alice", repoURL="ssh://git@x.test:2222/lab/arm.git")),
    ("alice", "berth-user", named("Instance", {"user": "alice", "workspaceType": "misty"}, name="x" * 63)),
    ("lab-admin", "berth-admin", project("alice")),
    ("lab-admin", "berth-admin", build("alice", priority=10)),
    ("lab-admin", "berth-admin", wtype(**SCRATCH)),
    ("lab-admin", "berth-admin", named("AccessRule", OPEN_TO_ALL)),
    ("lab-admin", "admin", named("AccessRule", OPEN_TO_ALL)),
    ("lab-admin", "berth-admin", wtype(privileged=False, addCapabilities=[])),
]


@pytest.mark.parametrize(("name", "role", "obj"), ACCEPTED)
def test_who_may(person: MakePerson, name: str, role: str, obj: dict[str, Any]) -> None:
    person(name, role).create(obj)


REFUSED = [
    ("alice", "berth-user", instance("bob"), "spec.user is bob and you are alice: use your own name, or ask for"),
    ("alice", "edit", instance("bob"), "spec.user is bob and you are alice"),
    ("alice", "berth-user", instance("alice", claim=CLAIM), "spec.claim is set by Berth only"),
    ("lab-admin", "berth-admin", instance("lab-admin", claim=CLAIM), "spec.claim is set by Berth only"),
    (
        "alice",
        "berth-user",
        with_id(reservation("alice")),
        "is for what Berth makes (verb claim",
    ),
    ("alice", "berth-user", reservation("bob"), "spec.user is bob and you are alice"),
    ("alice", "berth-user", project("bob"), "spec.user is bob and you are alice"),
    ("alice", "berth-user", build("bob"), "spec.user is bob and you are alice"),
    ("alice", "berth-user", build("alice", priority=1), "needs the verb prioritize on builds"),
    ("alice", "berth-user", with_id(build("alice")), "is for what Berth makes (verb claim"),
    ("carl", "berth-user", project("carl", **DEPLOY_KEY), "names a Secret that you may not get"),
    ("hugo", "berth-admin", project("carl", **DEPLOY_KEY), "names a Secret that you may not get"),
    ("alice", "berth-user", project("alice", repoURL="https://a:b@x.test/a"), "spec.repoURL in body should match"),
    ("alice", "berth-user", project("alice", repoURL="https://ghp_x@x.test/a"), "without password or query"),
    ("alice", "berth-user", project("alice", repoURL="https://x.test/a?token=x"), "without password or query"),
    ("alice", "berth-user", project("alice", **TOLD), "needs the verb tell on secrets/hub-token in berth-workspaces"),
    ("dora", "edit", project("dora", **TOLD), "needs the verb tell on secrets/hub-token"),
    ("lab-admin", "admin", project("lab-admin", **TOLD), "needs the verb tell on secrets/hub-token"),
    *(
        ("lab-admin", "berth-admin", named(kind, spec, name="x" * 64), "metadata.name has 64 characters")
        for kind, spec in (
            ("WorkspaceType", {"typeName": "t", "template": {"image": "i"}}),
            ("WorkspaceDeployment", {"type": "misty"}),
            ("Instance", {"user": "alice", "workspaceType": "misty"}),
            ("Reservation", {"user": "a", "workspaceType": "t", "instance": {"user": "a", "workspaceType": "t"}}),
            ("Project", {"name": "p", "user": "alice", "repoURL": "https://x.test/a"}),
            ("Build", {"project": "p", "user": "alice", "branch": "main"}),
        )
    ),
    ("alice", "berth-user", build("alice", attempt=2**63 - 1), "should be less than or equal to 100000"),
    ("alice", "berth-user", instance("alice", expireAfter=2**62), "should be less than or equal to 3153600000"),
    ("alice", "berth-user", instance("alice", sshKeys=["x" * 16_385]), "may not be more than 16384"),
    ("alice", "berth-user", project("alice", repoURL="file:///etc"), "spec.repoURL in body should match"),
    ("eve", "berth-viewer", project("eve"), "cannot create resource"),
    ("alice", "berth-user", reservation("alice", "bob"), "spec.instance.user and spec.user must be the same"),
    ("alice", "berth-user", reservation("alice", priority=1), "needs the verb prioritize"),
    ("alice", "berth-user", reservation("alice", superuser=True), "spec.superuser needs the verb actfor"),
    (
        "alice",
        "berth-user",
        instance("alice") | BERTHS_NAME,
        "is for what Berth makes (verb claim",
    ),
    ("alice", "berth-user", reservation("alice", priority=-1), "needs the verb prioritize"),
    ("alice", "berth-user", reservation("alice", instance={"claim": CLAIM}), "spec.instance.claim follows from"),
    ("lab-admin", "berth-admin", wtype(privileged=True), "spec.template.privileged needs the verb elevate"),
    ("lab-admin", "admin", wtype(addCapabilities=["SYS_ADMIN"]), "spec.template.addCapabilities needs the verb"),
    ("lab-admin", "berth-admin", wtype(**HOST_PATH), "hostPath in spec.template.volumes needs the verb elevate"),
    ("alice", "berth-user", wtype(), "cannot create resource"),
    ("alice", "berth-user", named("FirewallRule", {"instance": "i", "source": "0.0.0.0/0"}), "cannot create resource"),
    ("eve", "berth-viewer", instance("eve"), "cannot create resource"),
    ("lab-admin", "berth-admin", named("Delivery", WEBHOOK), "cannot create resource"),
    ("alice", "berth-user", named("AccessRule", OPEN_TO_ALL), "cannot create resource"),
    ("alice", "edit", named("AccessRule", OPEN_TO_ALL), "cannot create resource"),
    ("lab-admin", "admin", named("Account", {"user": "lab-admin"}), "cannot create resource"),
    ("lab-admin", "admin", named("TokenRevocation", REVOKED), "cannot create resource"),
]


@pytest.mark.parametrize(("name", "role", "obj", "message"), REFUSED)
def test_who_may_not(person: MakePerson, name: str, role: str, obj: dict[str, Any], message: str) -> None:
    somebody = person(name, role)
    with pytest.raises(ClusterError) as refused:
        somebody.create(obj)
    assert message in str(refused.value)


def test_another_mans_instance_is_not_yours_to_end(person: MakePerson) -> None:
    alice, bob = person("alice", "berth-user"), person("bob", "berth-user")
    what = f"instance/{alice.apply(instance('alice'))['metadata']['name']}"
    for change in ({"spec": {"terminate": True}}, {"metadata": {"labels": {"a": "b"}}}):
        with pytest.raises(ClusterError, match=r"spec\.user is alice and you are bob"):
            bob.patch(what, change)
    with pytest.raises(ClusterError, match=r"spec\.user is alice and you are bob"):
        bob.kubectl("delete", what, "-n", WORKSPACES)
    alice.patch(what, {"spec": {"terminate": True}})
    alice.kubectl("delete", what, "-n", WORKSPACES)


def test_an_administrator_ends_anyones(person: MakePerson) -> None:
    alice, admin = person("alice", "berth-user"), person("lab-admin", "berth-admin")
    what = f"instance/{alice.apply(instance('alice'))['metadata']['name']}"
    admin.patch(what, {"spec": {"terminate": True}})
    admin.kubectl("delete", what, "-n", WORKSPACES)


def test_the_fence_goes_by_the_operators_hand_only(person: MakePerson, installed: ApiServer) -> None:
    alice = person("alice", "berth-user")
    what = f"instance/{alice.apply(instance('alice'))['metadata']['name']}"
    operator = Person(installed, OPERATOR_ACCOUNT)
    operator.patch(what, {"metadata": {"finalizers": ["berth.dev/fence"]}})
    with pytest.raises(ClusterError, match=r"the finalizer berth\.dev/fence goes when everything"):
        alice.patch(what, {"metadata": {"finalizers": None}})
    alice.patch(what, {"spec": {"terminate": True}})
    operator.patch(what, {"metadata": {"finalizers": None}})


def test_the_api_acts_for_its_users_with_a_claim(installed: ApiServer) -> None:
    Person(installed, API_ACCOUNT).kubectl("create", "-f", "-", stdin=json.dumps(instance("alice", claim=CLAIM)))


def test_the_api_acts_for_its_users_and_names_no_secret(installed: ApiServer) -> None:
    api = Person(installed, API_ACCOUNT)
    api.kubectl("create", "-f", "-", stdin=json.dumps(project("alice")))
    with pytest.raises(ClusterError, match="names a Secret that you may not get"):
        api.kubectl("create", "-f", "-", stdin=json.dumps(project("alice", **DEPLOY_KEY)))


def test_a_project_keeps_its_secret_when_who_may_not_read_it_writes_beside_it(
    person: MakePerson, installed: ApiServer
) -> None:
    obj = project("carl", **DEPLOY_KEY)
    Person(installed, "").create(obj)
    carl, what = person("carl", "berth-user"), f"project/{obj['metadata']['name']}"
    carl.patch(what, {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(ClusterError, match="names a Secret that you may not get"):
        carl.patch(what, {"spec": {"credentials": {"secret": "another"}}})


def test_whoever_may_tell_by_a_secret_names_it_and_others_leave_it_as_it_is(
    person: MakePerson, installed: ApiServer
) -> None:
    """The right is for one Secret, by its name."""
    teller, alice = person("tina", "berth-user"), person("alice", "berth-user")
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["hub-token"], "verbs": ["tell"]}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "tells"}}
    applied(installed, role | {"rules": [rule]})
    person("tina", "tells")
    teller.apply(project("tina", **TOLD))
    another = {"commitStatus": TOLD["commitStatus"] | {"secret": "hub-token-2"}}
    with pytest.raises(ClusterError, match="needs the verb tell on secrets/hub-token-2"):
        teller.apply(project("tina", **another))
    obj = project("alice", **TOLD)
    Person(installed, "").create(obj)
    what = f"project/{obj['metadata']['name']}"
    alice.patch(what, {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(ClusterError, match="needs the verb tell"):
        alice.patch(what, {"spec": {"commitStatus": {"statusURL": "https://hub.test/other/{sha}"}}})
    alice.patch(what, {"spec": {"commitStatus": {"secret": None}}})


@pytest.mark.release(twin="tests/envtest/chart/test_sizes.py")
def test_what_was_made_before_its_bounds_goes_on_and_ends(installed: ApiServer, helm: Helm) -> None:
    """Finalizers, statuses and the end of objects whose names, keys and URLs nobody could make any more."""
    old = named("Instance", {"user": "alice", "workspaceType": "misty"}, name="y" * 252)
    old["spec"] |= {"sshKeys": ["x" * 20_000], "expireAfter": 2**62}
    told = {"statusURL": "https://x.test/{sha}?private_token=x", "provider": "gitlab"}
    url = project("alice", repoURL="https://ghp_x@x.test/a", commitStatus=told)
    installed.kubectl("delete", "validatingadmissionpolicybinding", "berth-names")
    with loosened(installed, "instances", "projects"):
        for obj in (old, url):
            until(partial(is_taken, installed, obj), f"policy berth-names refuses {obj['metadata']['name']} still")
    helm.install()
    policies_hold(installed)
    operator, what = Person(installed, OPERATOR_ACCOUNT), f"instance/{old['metadata']['name']}"
    operator.patch(what, {"metadata": {"finalizers": ["berth.dev/fence"]}})
    status = f"/apis/berth.dev/v1alpha1/namespaces/{WORKSPACES}/instances/{old['metadata']['name']}/status"
    with asking(installed) as ask:  # kubectl reads a status before it changes it, which the operator has no right to
        answer = ask(OPERATOR_ACCOUNT, "PATCH", status, {"status": {"id": "x"}}, dry=False)
    assert answer.status_code == 200, answer.text
    operator.patch(what, {"spec": {"terminate": True}})
    operator.patch(what, {"metadata": {"finalizers": None}})
    installed.kubectl("label", f"project/{url['metadata']['name']}", "-n", WORKSPACES, "a=b")


def is_taken(server: ApiServer, obj: dict[str, Any]) -> bool:
    """Make an object; False where it is refused."""
    try:
        Person(server, "").create(obj)
    except ClusterError:
        return False
    return True


def test_another_mans_build_is_not_yours_to_cancel(person: MakePerson) -> None:
    alice, bob = person("alice", "berth-user"), person("bob", "berth-user")
    what = f"build/{alice.apply(build('alice'))['metadata']['name']}"
    with pytest.raises(ClusterError, match=r"spec\.user is alice and you are bob"):
        bob.patch(what, {"spec": {"cancel": 1}})
    alice.patch(what, {"spec": {"cancel": 1}})
    alice.patch(what, {"spec": {"attempt": 2}})
    with pytest.raises(ClusterError, match=r"spec\.attempt never shrinks"):
        alice.patch(what, {"spec": {"attempt": 1}})


def test_beside_an_elevated_template_an_administrator_may_write(person: MakePerson, installed: ApiServer) -> None:
    admin = person("lab-admin", "berth-admin")
    obj = wtype(**HOST_PATH)
    Person(installed, "").create(obj)
    what = f"workspacetype/{obj['metadata']['name']}"
    admin.patch(what, {"spec": {"description": "new words"}})
    with pytest.raises(ClusterError, match="needs the verb elevate"):
        admin.patch(what, {"spec": {"template": {"image": "mallory/workspace"}}})


RESET = {"command": ["/bin/true"]}


@pytest.mark.parametrize(
    "change", but_first({"reset": RESET | {"image": "mallory/it"}}, None, {"reset": None}, {"prepare": RESET}, stay=2)
)
def test_hooks_have_their_template_s_power(
    person: MakePerson, installed: ApiServer, change: dict[str, Any] | None
) -> None:
    admin = person("lab-admin", "berth-admin")
    plain, elevated = (with_hooks(wtype(**template), {"reset": RESET}) for template in (SCRATCH, HOST_PATH))
    admin.apply(plain)
    admin.patch(f"workspacetype/{plain['metadata']['name']}", {"spec": {"hooks": change}})
    Person(installed, "").create(elevated)
    what = f"workspacetype/{elevated['metadata']['name']}"
    with pytest.raises(ClusterError, match=r"hostPath in spec\.template\.volumes needs the verb elevate"):
        admin.patch(what, {"spec": {"hooks": change}})
    admin.patch(what, {"spec": {"hooks": {"reset": RESET}, "description": "new words"}})


def with_hooks(obj: dict[str, Any], hooks: dict[str, Any]) -> dict[str, Any]:
    return obj | {"spec": obj["spec"] | {"hooks": hooks}}


def naming(claims: int, secrets: int, others: int) -> dict[str, Any]:
    """A type whose template names so many of what its writer must be allowed to get."""
    mounted = [{"configMap": {"name": f"c-{n}"}} for n in range(others)]
    mounted += [{"persistentVolumeClaim": {"name": f"v-{n}"}} for n in range(others)]
    return wtype(
        volumes=[{"name": f"v{n}", "mountPath": f"/v{n}"} | what for n, what in enumerate(mounted)],
        imagePullSecrets=[{"name": f"s-{n}"} for n in range(secrets)],
        resourceClaims=[{"name": f"r{n}", "resourceClaimTemplateName": f"r-{n}"} for n in range(claims)],
    )


@pytest.mark.parametrize("obj", [naming(3, 3, 3), naming(8, 8, 16)])
def test_whoever_may_get_all_writes_a_template_with_as_many_as_its_schema_takes(
    installed: ApiServer, obj: dict[str, Any]
) -> None:
    Person(installed, "").create(obj)


def test_whoever_may_get_some_by_name_writes_a_template_with_five_of_each(
    person: MakePerson, installed: ApiServer
) -> None:
    names = [f"{letter}-{n}" for letter in "cvsr" for n in range(6)]
    get = {"resourceNames": names, "verbs": ["get"]}
    rules = [
        {"apiGroups": [""], "resources": ["configmaps", "persistentvolumeclaims", "secrets"]} | get,
        {"apiGroups": ["resource.k8s.io"], "resources": ["resourceclaimtemplates"]} | get,
    ]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "gets-some"}}
    applied(installed, role | {"rules": rules})
    person("mounter", "berth-admin")
    mounter = person("mounter", "gets-some")
    mounter.apply(naming(5, 5, 5))
    for wrong, told in (
        (naming(0, 0, 6), r"spec\.template\.volumes names more than five of the kind ConfigMap"),
        (naming(0, 6, 0), r"spec\.template\.imagePullSecrets names more than five of the kind Secret"),
        (wtype(imagePullSecrets=[{"name": "s-0"}, {"name": "x"}]), "names the Secret x, which you may not get"),
    ):
        with pytest.raises(ClusterError, match=told):
            mounter.kubectl("create", "-f", "-", stdin=json.dumps(wrong))


@pytest.mark.parametrize("role", ["edit", "admin"])
def test_nobody_opens_a_way_through_the_network_beside_berth(person: MakePerson, role: str) -> None:
    somebody, name = person(f"opens-by-{role}", role), f"x-{uuid.uuid4().hex[:12]}"
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    }
    everywhere: dict[str, Any] = {"podSelector": {}, "egress": [{}], "ingress": [{}]}
    with pytest.raises(ClusterError, match="a NetworkPolicy with rules opens what Berth closes"):
        somebody.apply(policy | {"spec": everywhere})
    somebody.apply(policy)
    for way in ("egress", "ingress"):
        with pytest.raises(ClusterError, match="a NetworkPolicy with rules opens what Berth closes"):
            somebody.patch(f"networkpolicy/{name}", {"spec": {way: [{}]}})
    somebody.kubectl("delete", f"networkpolicy/{name}", "-n", WORKSPACES)


def test_an_administrator_ends_a_quarantine_and_the_api_cannot(person: MakePerson, installed: ApiServer) -> None:
    applied(installed, named("WorkspaceDeployment", {"type": "misty"}, name="ill"))
    release = {"spec": {"quarantineRelease": {"epoch": 1, "reason": "seen to"}}}
    with pytest.raises(ClusterError, match="berth-lockout"):
        Person(installed, API_ACCOUNT).patch("wd/ill", release)
    with pytest.raises(ClusterError, match="cannot patch resource"):
        person("alice", "berth-user").patch("wd/ill", release)
    person("lab-admin", "berth-admin").patch("wd/ill", release)


def test_a_status_is_nobodys_to_write(person: MakePerson, installed: ApiServer) -> None:
    admin = person("lab-admin", "admin")
    applied(installed, named("WorkspaceDeployment", {"type": "misty"}, name="wd"))
    with pytest.raises(ClusterError, match=r"cannot get resource .workspacedeployments/status"):
        admin.kubectl(
            "patch", "wd/wd", "-n", WORKSPACES, "--subresource=status", "--type=merge", "-p", '{"status":{"id":"x"}}'
        )


def test_epochs_are_raised_by_the_verb_restore_only_but_for_the_first(installed: ApiServer) -> None:
    obj = named("WorkspaceDeployment", {"type": "misty"})
    Person(installed, "").create(obj)
    status_writer(installed, "writer").kubectl(*raise_epoch(obj["metadata"]["name"], 5))
    change = raise_epoch(obj["metadata"]["name"], 7)
    with pytest.raises(ClusterError, match="the verb restore"):
        status_writer(installed, "writer").kubectl(*change)
    status_writer(installed, "restorer", "restore").kubectl(*change)


def test_a_lease_is_taken_and_given_back_without_it(installed: ApiServer) -> None:
    obj = named("WorkspaceDeployment", {"type": "misty"})
    Person(installed, "").create(obj)
    lease = {"instance": "i-1", "user": "alice", "claimedAt": "2026-05-01T00:00:00Z"}
    writer, change = status_writer(installed, "writer"), raise_epoch(obj["metadata"]["name"], 1)
    writer.kubectl(*change[:-1], json.dumps({"status": {"lease": lease, "epoch": 1}}))
    writer.kubectl(*change[:-1], json.dumps({"status": {"lease": None}}))


def leased(server: ApiServer, **metadata: Any) -> str:
    """A deployment with its finalizer that alice has; its name."""
    obj = named("WorkspaceDeployment", {"type": "misty"}, **{"finalizers": ["berth.dev/fence"]} | metadata)
    Person(server, "").create(obj)
    name, where = obj["metadata"]["name"], obj["metadata"]["namespace"]
    status = {"epoch": 1, "lease": {"instance": "i-1", "user": "alice", "claimedAt": "2026-05-01T00:00:00Z"}}
    words = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    server.kubectl("patch", f"wd/{name}", "-n", where, *words)
    return str(name)


def test_a_leased_deployment_is_deleted_by_the_verb_abandon_only(person: MakePerson, installed: ApiServer) -> None:
    name, admin = leased(installed), person("lab-admin", "berth-admin")
    gone = ["delete", f"wd/{name}", "-n", WORKSPACES, "--wait=false"]
    manifest = json.dumps(named("WorkspaceDeployment", {"type": "misty"}, name=name))
    with pytest.raises(ClusterError, match=r"alice has it: end the lease first \(`berth release"):
        admin.kubectl(*gone)
    with pytest.raises(ClusterError, match="alice has it"):
        admin.kubectl("replace", "--force", "--timeout=5s", "-f", "-", stdin=manifest)
    with pytest.raises(ClusterError, match="alice has it"):
        admin.kubectl("delete", "wd", "--all", "-n", WORKSPACES, "--wait=false")
    with pytest.raises(ClusterError, match=r"the finalizer berth\.dev/fence stays until then"):
        admin.patch(f"wd/{name}", {"metadata": {"finalizers": None}})
    admin.patch(f"wd/{name}", {"spec": {"lockout": True}})
    rules = [{"apiGroups": ["berth.dev"], "resources": ["workspacedeployments"], "verbs": ["get", "delete", "abandon"]}]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "breaks-glass"}}
    applied(installed, role | {"rules": rules})
    person("glazier", "breaks-glass").kubectl(*gone)
    assert "deletionTimestamp" in installed.kubectl("get", f"wd/{name}", "-n", WORKSPACES, "-o", "json"), "it waits"


def test_a_deployment_that_nobody_has_is_deleted_as_ever(person: MakePerson, installed: ApiServer) -> None:
    obj = named("WorkspaceDeployment", {"type": "misty"})
    Person(installed, "").create(obj)
    person("lab-admin", "berth-admin").kubectl("delete", f"wd/{obj['metadata']['name']}", "-n", WORKSPACES)


def test_of_a_deployment_the_operator_changes_the_finalizer_only(installed: ApiServer) -> None:
    obj = named("WorkspaceDeployment", {"type": "misty"})
    Person(installed, "").create(obj)
    operator, what = Person(installed, OPERATOR_ACCOUNT), f"wd/{obj['metadata']['name']}"
    operator.patch(what, {"metadata": {"finalizers": ["berth.dev/fence"]}})
    with pytest.raises(ClusterError, match="the operator changes the finalizer and the status only"):
        operator.patch(what, {"spec": {"lockout": True}})


@pytest.mark.release(
    twin="tests/envtest/chart/test_policies.py::test_a_leased_deployment_is_deleted_by_the_verb_abandon_only"
)
def test_a_namespace_with_instances_and_leases_can_be_deleted(installed: ApiServer) -> None:
    """Kubernetes' own controllers are not kept from their work."""
    installed.kubectl("create", "namespace", "short-lived")
    obj = instance("alice") | {"metadata": {"name": "x", "namespace": "short-lived"}}
    Person(installed, "").create(obj)
    leased(installed, namespace="short-lived", finalizers=[])
    installed.kubectl("delete", "namespace", "short-lived", "--timeout=60s")


@pytest.mark.release(twin="tests/envtest/chart/test_matrix.py")
def test_a_workspace_namespace_is_deleted_when_nobody_has_a_machine_there(installed: ApiServer, helm: Helm) -> None:
    installed.kubectl("create", "namespace", "lent")
    rendered = helm.render('--set-json=namespaces.workspaces=["berth-workspaces","lent"]')
    (binding,) = (obj for obj in rendered if obj["metadata"]["name"] == "berth-namespaces-lent")
    installed.kubectl("apply", "-f", "-", stdin=json.dumps(binding))
    name = leased(installed, namespace="lent", finalizers=[])

    def refusal() -> str:
        try:
            installed.kubectl("delete", "namespace", "lent", "--dry-run=server")
        except ClusterError as error:
            return str(error)
        return ""

    until(lambda: f"has {name}: end its lease first (`berth release {name}`)" in refusal(), "it may be deleted")
    given_back = json.dumps({"status": {"lease": None}})
    free = ["patch", f"wd/{name}", "-n", "lent", "--subresource=status", "--type=merge", "-p", given_back]
    installed.kubectl(*free)
    until(lambda: not refusal(), "it may not be deleted")
    installed.kubectl("delete", "namespace", "lent", "--timeout=60s")
    installed.kubectl("delete", "validatingadmissionpolicybinding", "berth-namespaces-lent")


def test_accounts_and_tokens_are_for_the_registrar(installed: ApiServer) -> None:
    """In the access namespace: whoever runs the release. The roles for labs see nothing of it, nor do the cluster's."""
    kinds = {f"{kind}.berth.dev" for kind in ("accounts", "issuedtokens", "tokenrevocations")}
    for role in ("berth-admin", "view", "admin"):  # which have what berth-viewer and berth-user have
        assert not kinds & set(introduce(installed, f"{role}-there", role, ACCESS).rights(ACCESS))
    rights = introduce(installed, "registrar", "berth-registrar", ACCESS).rights(ACCESS)
    assert kinds <= set(rights)
    assert rights["tokenrevocations.berth.dev"] == {"get", "list", "watch", "create"}, "revoked tokens stay revoked"
    assert "secrets" not in rights
