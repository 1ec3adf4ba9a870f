from typing import Any

import pytest

from berth_operator.instances.manifests.pod import CLOSED, pod
from berth_operator.instances.manifests.template import SSHD_CAPABILITIES

from ..samples import CONFIG, ID, lease_parts


def built(**spec: Any) -> dict[str, Any]:
    return pod(lease_parts(**spec), CONFIG)


def test_the_pod_is_fenced_and_labelled() -> None:
    metadata = built()["metadata"]
    assert metadata["name"] == f"i-{ID}"
    assert metadata["finalizers"] == ["berth.dev/fence"]
    assert metadata["ownerReferences"][0]["kind"] == "Instance"
    assert metadata["labels"] == {
        "berth.dev/instance": ID,
        "berth.dev/epoch": "3",
        "berth.dev/deployment": "one",
        "berth.dev/type": "bench",
        "app.kubernetes.io/managed-by": "berth",
    }


def test_the_agent_starts_first_and_shuts_the_door_before_the_workspace_starts() -> None:
    (agent,) = built()["spec"]["initContainers"]
    assert agent["restartPolicy"] == "Always"
    assert agent["lifecycle"]["postStart"]["exec"]["command"] == ["sh", "-c", CLOSED]
    assert agent["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    assert agent["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_workspace_has_what_sshd_needs_and_no_more() -> None:
    spec = built()["spec"]
    (workspace,) = spec["containers"]
    assert workspace["securityContext"] == {
        "runAsUser": 0,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": list(SSHD_CAPABILITIES)},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    assert "hostUsers" not in spec
    for forbidden in ("hostNetwork", "hostPID", "hostIPC", "serviceAccountName"):
        assert forbidden not in spec


def test_each_container_sees_only_its_own_secret() -> None:
    spec = built()["spec"]
    secrets = {v["name"]: v["secret"]["secretName"] for v in spec["volumes"] if "secret" in v}
    assert secrets == {"berth-agent": f"i-{ID}-e3-agent", "berth-host-keys": f"i-{ID}-e3"}
    mounts = {
        container["name"]: {mount["name"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
        for container in (*spec["initContainers"], *spec["containers"])
    }
    assert mounts["agent"] == {"berth-agent": True, "berth-run": False, "berth-agent-state": False}
    assert mounts["workspace"] == {"berth-host-keys": True, "berth-run": True}


def test_overrides_add_to_the_template_and_replace_plain_variables_only() -> None:
    template = {
        "image": "workspace:1",
        "env": [{"name": "A", "value": "type"}, {"name": "B", "value": "type"}],
        "nodeSelector": {"robot": "any", "zone": "z"},
        "devices": {"example.com/arm": 1},
    }
    overrides = {
        "env": [{"name": "B", "value": "machine"}],
        "nodeSelector": {"robot": "seven", "bench": "b"},
        "devices": {"example.com/camera": 2, "example.com/arm": 9, "cpu": 64},
    }
    spec = built(template=template, overrides=overrides)["spec"]
    (workspace,) = spec["containers"]
    assert workspace["env"] == [{"name": "A", "value": "type"}, {"name": "B", "value": "machine"}]
    assert spec["nodeSelector"] == {"robot": "any", "zone": "z", "bench": "b"}
    for amounts in workspace["resources"].values():
        assert amounts.items() >= {"example.com/arm": 1, "example.com/camera": 2}.items()
        assert amounts["cpu"] != 64


@pytest.mark.parametrize(
    ("resources", "requests", "limits"),
    [
        ({}, {"cpu": "50m", "memory": "64Mi"}, {"cpu": "2", "memory": "1Gi"}),
        ({"limits": {"memory": "32Mi"}}, {"cpu": "50m"}, {"cpu": "2", "memory": "32Mi"}),
        ({"requests": {"memory": "8Gi"}}, {"cpu": "50m", "memory": "8Gi"}, {"cpu": "2", "memory": "8Gi"}),
        (
            {"requests": {"cpu": "1"}, "limits": {"cpu": "3"}},
            {"cpu": "1", "memory": "64Mi"},
            {"cpu": "3", "memory": "1Gi"},
        ),
    ],
)
def test_defaults_never_contradict_what_the_type_says(
    resources: dict[str, Any], requests: dict[str, str], limits: dict[str, str]
) -> None:
    (workspace,) = built(template={"image": "workspace:1", "resources": resources})["spec"]["containers"]
    assert workspace["resources"]["requests"] == requests
    assert workspace["resources"]["limits"] == {"ephemeral-storage": "4Gi", **limits}


def test_every_sort_of_volume() -> None:
    volumes = [
        {"name": "scratch", "mountPath": "/scratch", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "maps", "mountPath": "/maps", "readOnly": True, "configMap": {"name": "maps"}},
        {"name": "data", "mountPath": "/data", "persistentVolumeClaim": {"name": "data"}},
        {"name": "dev", "mountPath": "/dev/arm", "hostPath": {"path": "/dev/arm"}},
    ]
    spec = built(template={"image": "workspace:1", "volumes": volumes})["spec"]
    assert spec["volumes"][-4:] == [
        {"name": "v-scratch", "emptyDir": {"medium": "", "sizeLimit": "1Gi"}},
        {"name": "v-maps", "configMap": {"name": "maps"}},
        {"name": "v-data", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "v-dev", "hostPath": {"path": "/dev/arm"}},
    ]
    assert {"name": "v-maps", "mountPath": "/maps", "readOnly": True} in spec["containers"][0]["volumeMounts"]


def test_a_silent_node_does_not_evict_the_pod() -> None:
    tolerations = built()["spec"]["tolerations"]
    assert {t["key"] for t in tolerations} == {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    assert all("tolerationSeconds" not in t for t in tolerations)
