"""The API process may lock deployments out and let them in again, and take the lease of one that is free."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from berth_core.kube.types import Object
from berth_core.leases.availability import availability
from berth_core.names import API_VERSION, FENCE_FINALIZER
from berth_core.resources import WorkspaceDeployment
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import Asking, asking
from berth_dev.errors import ClusterError

from .conftest import ACCESS, NAMESPACE, WORKSPACES, MakePerson, Person, until_granted

API, OPERATOR = (f"system:serviceaccount:{NAMESPACE}:berth-{name}" for name in ("api", "operator"))
DEPLOYMENTS = f"/apis/{API_VERSION}/namespaces/{WORKSPACES}/workspacedeployments"
SINCE = "2026-05-01T00:00:00Z"
SPEC = {
    "type": "misty",
    "typeVersion": 2,
    "region": "eu",
    "description": "the one by the door",
    "owners": ["alice"],
    "overrides": {"env": [{"name": "A", "value": "1"}]},
}


@pytest.fixture
def deployment(installed: ApiServer) -> str:
    """A deployment with everything set."""
    name = f"wd-{uuid.uuid4().hex[:8]}"
    metadata = {"name": name, "namespace": WORKSPACES, "labels": {"lab": "a"}, "annotations": {"note": "b"}}
    obj = {"apiVersion": "berth.dev/v1alpha1", "kind": "WorkspaceDeployment", "metadata": metadata, "spec": SPEC}
    Person(installed, "").create(obj)
    return f"wd/{name}"


def test_the_api_process_locks_out_and_lets_in(installed: ApiServer, deployment: str) -> None:
    api = Person(installed, API)
    shown = ("get", deployment, "-n", WORKSPACES, "-o", "jsonpath={.spec.lockout}")
    for change, word in ((True, "true"), (False, "false"), (True, "true"), (None, "false")):
        api.patch(deployment, {"spec": {"lockout": change}})
        assert api.kubectl(*shown) in (word, "" if change is None else word)


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"owners": ["mallory"]}},
        {"spec": {"owners": None}},
        {"spec": {"owners": ["alice", "mallory"], "lockout": True}},
        {"spec": {"dissolved": "2026-01-01T00:00:00Z"}},
        {"spec": {"region": "us"}},
        {"spec": {"description": None}},
        {"spec": {"typeVersion": 3}},
        {"spec": {"heartbeat": "node"}},
        {"spec": {"overrides": {"nodeSelector": {"a": "b"}}}},
        {"spec": {"overrides": None}},
        {"metadata": {"labels": {"lab": "b"}}},
        {"metadata": {"annotations": {"note": None}}},
        {"metadata": {"finalizers": ["example.org/x"]}},
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "y"}]}},
    ],
)
def test_the_api_process_changes_nothing_else(installed: ApiServer, deployment: str, change: dict[str, Any]) -> None:
    # Another policy refuses owners, too, and the API server says one's words.
    refused = r"berth-lockout.*the API process changes|berth-deployments.*goes with its owner"
    with pytest.raises(ClusterError, match=refused):
        Person(installed, API).patch(deployment, change)


def test_the_account_of_another_release_is_held_too(installed: ApiServer, deployment: str) -> None:
    """The cluster has the policy once, whichever release made it."""
    other = "system:serviceaccount:elsewhere:berth-api"
    role = ["create", "rolebinding", "elsewhere-api", "-n", WORKSPACES, "--role=berth-api"]
    installed.kubectl(*role, "--serviceaccount=elsewhere:berth-api")
    until_granted(installed, other, "roles/berth-api")
    with pytest.raises(ClusterError, match="changes the lockout only"):
        Person(installed, other).patch(deployment, {"spec": {"region": "us"}})
    Person(installed, other).patch(deployment, {"spec": {"lockout": True}})


def test_who_runs_the_lab_changes_what_he_likes(person: MakePerson, deployment: str) -> None:
    admin = person("lab-admin", "berth-admin")
    admin.patch(deployment, {"spec": {"region": "us", "owners": ["bob"]}, "metadata": {"labels": {"lab": "c"}}})


def test_the_api_process_changes_its_records_and_no_other_secret(installed: ApiServer) -> None:
    def secret(name: str, **labels: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": ACCESS, "labels": {f"berth.dev/{key}": labels[key] for key in labels}}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}

    api, number = Person(installed, API), uuid.uuid4().hex[:8]
    record, key, password = f"r-{number}", f"i-{number}", f"u-{number}-password"
    api.create(secret(record, idempotency="a" * 8))
    api.patch(f"secret/{record}", {"stringData": {"answer": "x"}}, ACCESS)
    api.kubectl("delete", "secret", record, "-n", ACCESS)
    api.create(secret(key))
    Person(installed, "").create(secret(password))
    for attempt in (
        lambda: api.create(secret(f"v-{number}-password")),
        lambda: api.patch(f"secret/{password}", {"stringData": {"hash": "mine"}}, ACCESS),
        lambda: api.patch(f"secret/{key}", {"metadata": {"labels": {"berth.dev/idempotency": "a"}}}, ACCESS),
        lambda: api.kubectl("delete", "secret", password, "-n", ACCESS),
    ):
        with pytest.raises(ClusterError, match="berth-records"):
            attempt()


@pytest.fixture(scope="module")
def ask(installed: ApiServer) -> Iterator[Asking]:
    with asking(installed) as made:
        yield made


def taken(ask: Asking, who: str, status: Object, *, finalizers: Sequence[str] = (FENCE_FINALIZER,), **spec: Any) -> str:
    """Take the lease of a new deployment without effect; what the API server says where it refuses.

    The API server refuses the API process what that process would not take for an owner.
    """
    name = f"wd-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": API_VERSION, "kind": "WorkspaceDeployment", "spec": {"type": "misty"} | spec}
    metadata = {"name": name, "finalizers": [*finalizers]}
    ask("", "POST", DEPLOYMENTS, body | {"metadata": metadata}, dry=False).raise_for_status()
    ask("", "PATCH", f"{DEPLOYMENTS}/{name}/status", {"status": status}, dry=False).raise_for_status()
    answer = ask(who, "PATCH", f"{DEPLOYMENTS}/{name}/status", TAKEN)
    made = WorkspaceDeployment.parse(ask("", "GET", f"{DEPLOYMENTS}/{name}").json())
    is_free = availability(made, now=datetime.now(UTC), owner=True).status == "True"
    assert who != API or answer.is_success == is_free, answer.text
    ask("", "PATCH", f"{DEPLOYMENTS}/{name}", {"metadata": {"finalizers": None}}, dry=False).raise_for_status()
    ask("", "DELETE", f"{DEPLOYMENTS}/{name}", dry=False).raise_for_status()
    return "" if answer.is_success else answer.text


def online(status: str) -> Object:
    return {"type": "Online", "status": status, "reason": "X", "message": "x", "lastTransitionTime": SINCE}


TAKEN = {"status": {"lease": {"instance": "i", "user": "bob", "claimedAt": SINCE}, "epoch": 1}}
LOOKED = {"observedGeneration": 1}
NETWORK = {"network": {"addresses": ["192.0.2.40/32"]}}


@pytest.mark.parametrize(
    ("spec", "status", "word"),
    [
        ({"lockout": True}, LOOKED, "locked out"),
        ({"dissolved": SINCE, "grant": "g"}, LOOKED, "dissolved"),
        ({}, LOOKED | {"conditions": [online("False")]}, "offline"),
        ({}, {}, "has not looked"),
        ({"finalizers": ()}, LOOKED, "has not looked"),
        ({"machine": NETWORK}, {"observedGeneration": 7}, "has not looked"),
    ],
)
def test_the_api_process_takes_no_lease_that_nobody_may_have(
    ask: Asking, spec: Object, status: Object, word: str
) -> None:
    refusal = taken(ask, API, status, **spec)
    assert "berth-leases" in refusal
    assert word in refusal
    assert taken(ask, OPERATOR, status, **spec) == "", "the policy holds the API process only"


def test_the_api_process_takes_no_deployment_that_is_being_deleted(ask: Asking, deployment: str) -> None:
    one = f"{DEPLOYMENTS}/{deployment.removeprefix('wd/')}"
    ask("", "PATCH", one, {"metadata": {"finalizers": [FENCE_FINALIZER]}}, dry=False).raise_for_status()
    ask("", "PATCH", f"{one}/status", {"status": LOOKED}, dry=False).raise_for_status()
    assert ask(API, "PATCH", f"{one}/status", TAKEN).status_code == 200
    ask("", "DELETE", one, dry=False).raise_for_status()
    assert "being deleted" in ask(API, "PATCH", f"{one}/status", TAKEN).text
    ask("", "PATCH", one, {"metadata": {"finalizers": None}}, dry=False).raise_for_status()


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        ({}, LOOKED),
        ({}, LOOKED | {"conditions": [online("True")]}),
        ({}, {"observedGeneration": 7}),
        ({"machine": NETWORK}, LOOKED),
        ({"lockout": False, "maintenance": {"reason": "new gripper"}}, LOOKED),  # owners and superusers may
    ],
)
def test_the_api_process_takes_a_lease_that_somebody_may_have(ask: Asking, spec: Object, status: Object) -> None:
    assert taken(ask, API, status, **spec) == ""
