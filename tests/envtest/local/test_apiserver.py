import json
from pathlib import Path

import pytest
import yaml

from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.kept import CRDS, VARIABLE, WORKER, kept
from berth_dev.envtest.testing import Namespaces, make_namespaces
from berth_dev.errors import ClusterError

pytestmark = pytest.mark.apiserver


def test_apiserver_is_ready_and_says_its_version(apiserver: ApiServer) -> None:
    assert apiserver.kubectl("get", "--raw=/readyz") == "ok"
    assert json.loads(apiserver.kubectl("get", "--raw=/version"))["gitVersion"].startswith("v1.")


def test_every_test_has_namespaces_of_its_own(apiserver: ApiServer, namespaces: Namespaces) -> None:
    other = make_namespaces(apiserver)
    assert len({namespaces.release, namespaces.workspaces, namespaces.access, other.release}) == 4
    apiserver.kubectl("get", "namespace", namespaces.workspaces, other.access)


@pytest.mark.release(twin="tests/envtest/local/test_apiserver.py::test_apiserver_is_ready_and_says_its_version")
def test_garbage_collection_works_with_controllers(controllers: ApiServer) -> None:
    owner = json.loads(controllers.kubectl("create", "configmap", "owner", "-o", "json"))
    owned = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "owned",
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
            ],
        },
    }
    controllers.kubectl("create", "-f", "-", stdin=json.dumps(owned))
    controllers.kubectl("delete", "configmap", "owner")
    controllers.kubectl("wait", "--for=delete", "configmap/owned", "--timeout=60s")


def test_a_kept_server_is_taken_as_it_is_and_gets_crds_anew_where_others_were_applied(
    apiserver: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> tuple[str, int]:
        crd = json.loads(apiserver.kubectl("get", "crd", "issuedtokens.berth.dev", "-o", "json"))
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        return schema["description"], crd["metadata"]["generation"]

    monkeypatch.setenv(VARIABLE, str(apiserver.kubeconfig))
    monkeypatch.delenv(WORKER, raising=False)
    server = kept()
    assert server is not None
    assert server.url == apiserver.url
    description, generation = found()
    assert kept() is not None
    assert found() == (description, generation)
    other = yaml.safe_load((CRDS / "issuedtokens.yaml").read_text(encoding="utf-8"))
    other["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "of another work tree"
    apiserver.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(other))
    assert kept() is not None
    assert found() == (description, generation + 2)


def test_a_kept_server_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "admin.kubeconfig"))
    monkeypatch.delenv(WORKER, raising=False)
    with pytest.raises(ClusterError, match="make apiserver"):
        kept()


def test_workers_have_servers_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "admin.kubeconfig")
    monkeypatch.setenv(WORKER, "gw0")
    assert kept() is None
