"""The driver for devices: there by a value, with folders of its node, the API server, and nothing besides."""

from typing import Any

import pytest

from berth_dev.errors import ClusterError
from berth_devices.config import Config
from berth_devices.discovery.facts import Rule
from berth_devices.discovery.kernel import Fixed

from .conftest import NAMESPACE, Helm

ON = "--set=devices.enabled=true"
HOME = "berth-devices"


def named(objects: list[dict[str, Any]], kind: str, name: str = "berth-devices") -> dict[str, Any]:
    (found,) = [obj for obj in objects if obj["kind"] == kind and obj["metadata"]["name"] == name]
    return found


def pod(helm: Helm, *words: str) -> dict[str, Any]:
    spec: dict[str, Any] = named(helm.render(ON, *words), "DaemonSet")["spec"]["template"]["spec"]
    return spec


def config(spec: dict[str, Any]) -> Config:
    """Settings as the process reads them on a node."""
    (container,) = spec["containers"]
    environment = {one["name"]: one.get("value", "node-1") for one in container["env"]}
    expanded = {name: value.replace("$(BERTH_NODE)", "node-1") for name, value in environment.items()}
    return Config.from_environment(expanded)


def mounted(spec: dict[str, Any]) -> dict[str, str]:
    """Folders of the node that the pod has, by their place in it."""
    volumes = {volume["name"]: volume.get("hostPath", {}).get("path") for volume in spec["volumes"]}
    return {
        mount["mountPath"]: f"{volumes[mount['name']]}/{mount.get('subPathExpr', '')}".rstrip("/")
        for mount in spec["containers"][0]["volumeMounts"]
        if volumes[mount["name"]]
    }


def test_there_is_none_without_the_value(helm: Helm) -> None:
    objects = helm.render()
    assert not [obj for obj in objects if obj["metadata"].get("namespace") == HOME]
    assert not {"DaemonSet", "DeviceClass"} & {obj["kind"] for obj in objects}
    assert HOME not in {obj["metadata"]["name"] for obj in objects}


def test_it_is_the_last_to_go_from_a_node_and_one_at_a_time(helm: Helm) -> None:
    daemons = named(helm.render(ON), "DaemonSet")
    assert daemons["metadata"]["namespace"] == HOME
    assert daemons["spec"]["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": 1}
    spec = daemons["spec"]["template"]["spec"]
    assert spec["priorityClassName"] == "system-node-critical"
    assert spec["tolerations"] == [{"operator": "Exists"}]


def test_it_has_no_capability_no_network_of_the_host_and_these_folders_of_its_node(helm: Helm) -> None:
    spec = pod(helm)
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    (container,) = spec["containers"]
    security = container["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert (security["readOnlyRootFilesystem"], security["allowPrivilegeEscalation"]) == (True, False)
    assert "privileged" not in security
    assert mounted(spec) == {
        "/host/plugin": "/var/lib/kubelet/plugins/devices.berth.dev",
        "/host/registration": "/var/lib/kubelet/plugins_registry",
        "/host/cdi": "/var/run/cdi",
        "/host/dev": "/dev",
        "/run/udev": "/run/udev",
    }
    read_only = {mount["mountPath"] for mount in container["volumeMounts"] if mount.get("readOnly")}
    assert read_only == {"/host/dev", "/run/udev"}


def test_nodes_that_share_a_file_system_have_folders_of_their_own(helm: Helm) -> None:
    words = ["--set=devices.kubeletDir=/srv/$(BERTH_NODE)/kubelet", "--set=devices.cdiDir=/srv/cdi-$(BERTH_NODE)"]
    spec = pod(helm, *words)
    folders = mounted(spec)
    assert folders["/host/plugin"] == "/srv/$(BERTH_NODE)/kubelet/plugins/devices.berth.dev"
    assert folders["/host/registration"] == "/srv/$(BERTH_NODE)/kubelet/plugins_registry"
    assert folders["/host/cdi"] == "/srv/cdi-$(BERTH_NODE)"
    assert str(config(spec).paths.endpoint) == "/srv/node-1/kubelet/plugins/devices.berth.dev/dra.sock"


def test_the_values_reach_the_process(helm: Helm) -> None:
    plain = config(pod(helm))
    assert (plain.node, plain.rules, plain.fixed) == ("node-1", (Rule("tty"), Rule("video4linux")), ())
    assert str(plain.paths.service) == "/host/plugin/dra.sock"
    assert str(plain.paths.endpoint) == "/var/lib/kubelet/plugins/devices.berth.dev/dra.sock"
    changed = config(
        pod(
            helm,
            '--set-json=devices.allow=[{"subsystem":"hidraw","vendor":"046d","product":"0825"}]',
            '--set-json=devices.fixed=[{"path":"/dev/a","serial":"A7"},{"path":"/dev/b","node":"node-2"}]',
            "--set=devices.rescanSeconds=9",
        )
    )
    assert changed.rules == (Rule("hidraw", "046d", "0825"),)
    assert changed.fixed == (Fixed("/dev/a", serial="A7"),)
    assert changed.rescan == 9


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("--set-json=devices.allow=[{}]", "subsystem"),
        ('--set-json=devices.allow=[{"subsystem":"block"}]', "subsystem"),
        ('--set-json=devices.fixed=[{"path":"/etc/passwd"}]', "pattern"),
        ("--set=devices.kubeletDir=relative", "pattern"),
        ("--set=namespaces.devices=berth-workspaces", "namespace of its own"),
        ("--set=clusterResources.create=false", "needs clusterResources.create"),
    ],
)
def test_values_that_cannot_work_are_refused(helm: Helm, word: str, complaint: str) -> None:
    with pytest.raises(ClusterError, match=complaint):
        helm.render(ON, word)


def test_it_reaches_the_api_server_only_and_nobody_reaches_it(helm: Helm) -> None:
    objects = helm.render(ON)
    policies = [o for o in objects if o["kind"] == "NetworkPolicy" and o["metadata"]["namespace"] == HOME]
    (policy,) = [obj["spec"] for obj in policies]
    assert policy["podSelector"] == {}
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    (way,) = policy["egress"]
    assert {port["port"] for port in way["ports"]} == {443, 6443}


def test_its_class_is_marked_so_that_only_the_operator_claims_by_it(helm: Helm) -> None:
    device_class = named(helm.render(ON), "DeviceClass", "devices.berth.dev")
    assert device_class["metadata"]["labels"]["berth.dev/machines"] == ""
    assert "extendedResourceName" not in device_class["spec"]


def test_its_account_is_in_its_own_namespace(helm: Helm) -> None:
    objects = helm.render(ON)
    assert named(objects, "ServiceAccount")["metadata"]["namespace"] == HOME
    (subject,) = named(objects, "ClusterRoleBinding", f"berth-devices-{NAMESPACE}")["subjects"]
    assert subject["namespace"] == HOME
    assert not [o for o in objects if o["kind"] == "Role" and o["metadata"]["name"] == "berth-devices"]


def test_leases_end_before_it_goes(helm: Helm) -> None:
    objects = helm.render(ON)
    hook = named(objects, "Job", "berth-uninstall")["metadata"]["annotations"]["helm.sh/hook"]
    assert "pre-delete" in hook
    assert "helm.sh/hook" not in named(objects, "DaemonSet")["metadata"].get("annotations", {})
