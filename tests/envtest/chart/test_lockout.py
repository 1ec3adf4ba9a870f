"""The API process may lock deployments out and let them in again, and change nothing else about them."""

import uuid
from typing import Any

import pytest

from berth_dev.envtest.apiserver import ApiServer
from berth_dev.errors import ClusterError

from .conftest import ACCESS, NAMESPACE, WORKSPACES, MakePerson, Person, until_granted

API = f"system:serviceaccount:{NAMESPACE}:berth-api"
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
