"""Processes of a node: containerd, kubelet, kube-proxy, kube-router, and their configuration."""

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from berth_dev.cluster.control_plane import SERVICE_RANGE, ControlPlane
from berth_dev.cluster.network import NETWORK, POD_RANGE, Machine
from berth_dev.processes import ProcessSpec

PAUSE_IMAGE = "localhost/pause:dev"
CNI_PLUGINS = "/usr/lib/cni"
PROXY_USER = "system:kube-proxy"
ROUTER_USER = "berth:kube-router"
SECOND_HANDLER = "runc-second"
"""Another handler of containerd's: runc again, which keeps its state apart. The RuntimeClass `second` names it."""
POD_PIDS = 1024
"""Most processes of a pod."""


@dataclass(frozen=True)
class NodePaths:
    """A node's own folder in the state folder, and paths in it."""

    folder: Path

    @property
    def socket(self) -> Path:
        """Containerd's socket."""
        return self.folder / "containerd.sock"

    @property
    def cni(self) -> Path:
        """Folder of CNI network configurations."""
        return self.folder / "cni"

    @property
    def cdi(self) -> Path:
        """Folder of CDI files (Container Device Interface): the node's own, though nodes share a file system."""
        return self.folder / "cdi"

    @property
    def second(self) -> Path:
        """Folder in which runc keeps the state of containers of the second handler, by their ids."""
        return self.folder / "runc-second"

    @property
    def tasks(self) -> Path:
        """Containerd's folder with one folder for each running container."""
        return self.folder / "run" / "io.containerd.runtime.v2.task" / "k8s.io"


class Node:
    """Writes the configuration of one node and describes its processes."""

    def __init__(self, machine: Machine, state: Path, plane: ControlPlane) -> None:
        self.machine = machine
        self.paths = node_paths(state, machine)
        self.plane = plane
        self.paths.cdi.mkdir(parents=True, exist_ok=True)

    def manifest(self) -> dict[str, object]:
        """The Node object; it is made before the kubelet starts, so that it has its pod range from the start."""
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.machine.name},
            "spec": {"podCIDR": self.machine.pods, "podCIDRs": [self.machine.pods]},
        }

    def processes(self) -> list[ProcessSpec]:
        """Everything that runs on the node, in the order in which it starts."""
        return [self._containerd(), self._kubelet(), self._kube_proxy(), self._kube_router()]

    def _containerd(self) -> ProcessSpec:
        folder, paths = self.paths.folder, self.paths
        self._write("cni/10-berth.conflist", json.dumps(self._cni(), indent=1))
        config = self._write(
            "containerd.toml",
            CONTAINERD_CONFIG.format(
                folder=folder,
                socket=paths.socket,
                cni=paths.cni,
                cdi=paths.cdi,
                runc=self.plane.tools.path("runc"),
                second=paths.second,
            ),
        )
        return self._process("containerd", "--config", str(config), environment={"PATH": self.plane.tools.search_path})

    def _cni(self) -> dict[str, object]:
        return {
            "cniVersion": "1.0.0",
            "name": "berth",
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": "cni0",
                    "isGateway": True,
                    "ipMasq": False,
                    "hairpinMode": True,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": str(self.paths.folder / "addresses"),
                        "ranges": [[{"subnet": self.machine.pods}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        }

    def _kubelet(self) -> ProcessSpec:
        name, address, folder = self.machine.name, self.machine.address, self.paths.folder
        for cgroup in self.machine.cgroups:
            cgroup.mkdir(exist_ok=True)
        authority = self.plane.authority
        serving = authority.server(f"{name}-kubelet-serving", hosts=[name, address])
        client = authority.client(f"{name}-kubelet", user=f"system:node:{name}", group="system:nodes")
        config = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": address,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority.pair.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            # Without a cgroup for each pod nothing limits its processes.
            "cgroupsPerQOS": True,
            "cgroupRoot": f"/{self.machine.namespace}",
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": f"unix://{self.paths.socket}",
            "enforceNodeAllocatable": [],
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "failCgroupV1": False,
            "failSwapOn": False,
            "imageGCHighThresholdPercent": 100,
            "oomScoreAdj": 0,
            # One workspace or script must not take all processes of its node.
            "podLogsDir": str(folder / "pod-logs"),
            "podPidsLimit": POD_PIDS,
            "readOnlyPort": 0,
            "serializeImagePulls": False,
            "tlsCertFile": str(serving.certificate),
            "tlsPrivateKeyFile": str(serving.key),
            "volumePluginDir": str(folder / "volume-plugins"),
        }
        return self._process(
            "kubelet",
            f"--config={self._write('kubelet.yaml', yaml.safe_dump(config))}",
            f"--kubeconfig={self.plane.kubeconfig_for(f'{name}-kubelet', client)}",
            f"--root-dir={folder / 'kubelet'}",
            f"--cert-dir={folder / 'kubelet-pki'}",
            f"--hostname-override={name}",
            f"--node-ip={address}",
            environment={"PATH": self.plane.tools.search_path},
            wait_for=self.paths.socket,
        )

    def _kube_proxy(self) -> ProcessSpec:
        name = self.machine.name
        client = self.plane.authority.client(f"{name}-kube-proxy", user=PROXY_USER)
        config = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
            # Its default serves only the node's primary address.
            "nodePortAddresses": [str(NETWORK.supernet(new_prefix=16))],
            "clusterCIDR": str(POD_RANGE),
            "detectLocalMode": "ClusterCIDR",
            "hostnameOverride": name,
            "clientConnection": {"kubeconfig": str(self.plane.kubeconfig_for(f"{name}-kube-proxy", client))},
            # The namespace may not set the machine's limits; zero leaves them alone.
            "conntrack": {"maxPerCore": 0, "min": 0},
            "oomScoreAdj": 0,
        }
        return self._process("kube-proxy", f"--config={self._write('kube-proxy.yaml', yaml.safe_dump(config))}")

    def _kube_router(self) -> ProcessSpec:
        name = self.machine.name
        client = self.plane.authority.client(f"{name}-kube-router", user=ROUTER_USER)
        return self._process(
            "kube-router",
            "--run-firewall=true",
            "--run-router=false",
            "--run-service-proxy=false",
            "--enable-cni=false",
            f"--hostname-override={name}",
            f"--kubeconfig={self.plane.kubeconfig_for(f'{name}-kube-router', client)}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
        )

    def _process(
        self, program: str, *arguments: str, environment: dict[str, str] | None = None, wait_for: Path | None = None
    ) -> ProcessSpec:
        return ProcessSpec(
            name=f"{self.machine.name}-{program}",
            command=(str(self.plane.tools.path(program)), *arguments),
            namespace=self.machine.namespace,
            environment=environment or {},
            wait_for=str(wait_for or ""),
        )

    def _write(self, name: str, text: str) -> Path:
        path = self.paths.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


def node_paths(state: Path, machine: Machine) -> NodePaths:
    """Paths of a node's files under the state folder."""
    return NodePaths(folder=state / "nodes" / machine.name)


# restrict_oom_score_adj: a machine without CAP_SYS_RESOURCE cannot lower scores, and every
# sandbox would fail. NRI's socket has one path for all, so two containerds cannot share it.
CONTAINERD_CONFIG = f"""\
version = 3
root = "{{folder}}/containerd"
state = "{{folder}}/run"
[grpc]
  address = "{{socket}}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{{folder}}/opt"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  cdi_spec_dirs = ["{{cdi}}"]
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{CNI_PLUGINS}"]
    conf_dir = "{{cni}}"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = "{{runc}}"
      SystemdCgroup = false
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.{SECOND_HANDLER}]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.{SECOND_HANDLER}.options]
      BinaryName = "{{runc}}"
      Root = "{{second}}"
      SystemdCgroup = false
"""
