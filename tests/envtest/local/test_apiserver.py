import json

import pytest

from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces, make_namespaces

pytestmark = pytest.mark.apiserver


def test_apiserver_is_ready_and_says_its_version(apiserver: ApiServer) -> None:
    assert apiserver.kubectl("get", "--raw=/readyz") == "ok"
    assert json.loads(apiserver.kubectl("get", "--raw=/version"))["gitVersion"].startswith("v1.")


def test_every_test_has_namespaces_of_its_own(apiserver: ApiServer, namespaces: Namespaces) -> None:
    other = make_namespaces(apiserver)
    assert len({namespaces.release, namespaces.workspaces, namespaces.access, other.release}) == 4
    apiserver.kubectl("get", "namespace", namespaces.workspaces, other.access)


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
