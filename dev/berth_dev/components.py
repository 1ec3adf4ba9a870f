"""The programs of the cluster, built from pinned Go modules into the cache.

Each component is keyed by the content of its module files and its build flags. An entry in
the cache is complete, since a build happens in a folder beside it and is renamed in one step.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from berth_dev.commands import run
from berth_dev.errors import ClusterError
from berth_dev.paths import COMPONENTS, cache_dir, require_space
from berth_dev.progress import step

KUBERNETES_VERSIONS = {"1.37.2": "go.mod", "1.34.4": "v1.34.4.mod"}
DEFAULT_KUBERNETES = "1.37.2"
KUBERNETES_LINKS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
)
NO_NETWORK = re.compile(r"dial tcp|no such host|i/o timeout|connection refused|TLS handshake|certificate signed by")


@dataclass(frozen=True)
class Component:
    """A Go module of ours: the programs (name → import path) to build from it, and how."""

    name: str
    programs: dict[str, str]
    modfile: str = "go.mod"
    tags: str = ""
    linker_flags: str = "-s -w"
    links: tuple[str, ...] = ()
    cgo: bool = False
    """Whether it is linked with libraries of the machine."""

    @property
    def source(self) -> Path:
        """Folder with the module files."""
        return COMPONENTS / self.name

    @property
    def key(self) -> str:
        """Hash of all inputs of the build."""
        digest = hashlib.sha256()
        sums = Path(self.modfile).with_suffix(".sum").name
        for path in sorted([self.source / self.modfile, self.source / sums, *self.source.glob("*.go")]):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        digest.update(repr((sorted(self.programs.items()), self.tags, self.linker_flags, self.links)).encode())
        digest.update(platform.machine().encode())
        digest.update(b"cgo" if self.cgo else b"")
        return digest.hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """Folder of its built programs."""
        return cache_dir() / "components" / f"{self.name}-{self.key}"


def kubernetes_version() -> str:
    """The Kubernetes version asked for with `K8S`, by default the newest supported.

    Raises ClusterError for a version that has no module file here.
    """
    version = os.environ.get("K8S") or DEFAULT_KUBERNETES
    if version not in KUBERNETES_VERSIONS:
        raise ClusterError(f"K8S={version} is not supported: choose one of {', '.join(KUBERNETES_VERSIONS)}")
    return version


def kubernetes(version: str | None = None) -> Component:
    """The five server components and kubectl, one program under six names."""
    version = version or kubernetes_version()
    major, minor, _ = version.split(".")
    stamp = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    flags = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamp.items())
    return Component(
        name="kubernetes",
        programs={"kubernetes": "."},
        modfile=KUBERNETES_VERSIONS[version],
        linker_flags=f"-s -w {flags}",
        links=KUBERNETES_LINKS,
    )


ETCD = Component(name="etcd", programs={"etcd": "go.etcd.io/etcd/server/v3"})
# Tools to save and restore snapshots of etcd. Apart from etcd, so that its build stays unchanged.
ETCD_TOOLS = Component(
    name="etcd-tools",
    programs={name: f"go.etcd.io/etcd/{name}/v3" for name in ("etcdctl", "etcdutl")},
)
CONTAINERD = Component(
    name="containerd",
    programs={
        name: f"github.com/containerd/containerd/v2/cmd/{name}"
        for name in ("containerd", "containerd-shim-runc-v2", "ctr")
    },
    tags="no_btrfs no_zfs no_devmapper",
)
# Debian's 1.1.5 has no user namespaces; from 1.2.4 on its containers may open /dev/net/tun. libseccomp is Debian's.
RUNC = Component(name="runc", programs={"runc": "github.com/opencontainers/runc"}, tags="seccomp", cgo=True)
KUBE_ROUTER = Component(
    name="kube-router", programs={"kube-router": "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"}
)
# The Kubernetes version that `helm lint` and `helm template` assume without a cluster.
HELM_FLAGS = " ".join(
    f"-X helm.sh/helm/v3/pkg/chartutil.k8sVersion{part}={value}"
    for part, value in zip(("Major", "Minor"), DEFAULT_KUBERNETES.split(".")[:2], strict=True)
)
# A bucket for tests: the S3 API over a folder.
BUCKETS = Component(name="versitygw", programs={"versitygw": "github.com/versity/versitygw/cmd/versitygw"})
# The peer that `make bench-peer` measures beside Berth; its manifests are in the module.
PEER_MODULE = "sigs.k8s.io/agent-sandbox"
PEER = Component(
    name="agent-sandbox", programs={"agent-sandbox-controller": f"{PEER_MODULE}/cmd/agent-sandbox-controller"}
)
HELM = Component(name="helm", programs={"helm": "helm.sh/helm/v3/cmd/helm"}, linker_flags=f"-s -w {HELM_FLAGS}")


@dataclass(frozen=True)
class Toolbox:
    """Folders of built components; programs are found by name."""

    folders: tuple[Path, ...]

    def path(self, program: str) -> Path:
        """Full path of a built program; raises ClusterError where no component has it."""
        for folder in self.folders:
            if (file := folder / program).exists():
                return file
        raise ClusterError(f"no built component has {program}: run `python -m berth_dev build`")

    @property
    def search_path(self) -> str:
        """A value for PATH that finds the programs before the machine's own."""
        return ":".join([*map(str, self.folders), os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")])


def control_plane_components() -> tuple[Component, ...]:
    """Components of etcd and kube-apiserver (and kubectl)."""
    return (ETCD, kubernetes())


def all_components() -> tuple[Component, ...]:
    """Components of the two-node cluster."""
    return (ETCD, kubernetes(), CONTAINERD, RUNC, KUBE_ROUTER, HELM)


def components_of_tests() -> tuple[Component, ...]:
    """Components that only tests use: a bucket, and tools for snapshots of etcd."""
    return (BUCKETS, ETCD_TOOLS)


def build(components: tuple[Component, ...]) -> Toolbox:
    """Build the components that the cache lacks, one after the other, and answer the folders of all.

    Raises ClusterError where Go is missing, the disk is full, or a build fails.
    """
    missing = [component for component in components if not component.folder.exists()]
    if missing:
        _require_go()
        require_space(cache_dir(), 6, "building Kubernetes")
    for component in missing:
        with step(f"building {_title(component)}"):
            _build_one(component)
    return Toolbox(folders=tuple(component.folder for component in components))


def module_folder(component: Component, module: str) -> Path:
    """Folder with the source of a module, at the version that a component pins; fetched where Go's cache lacks it.

    Raises ClusterError where it cannot be fetched.
    """
    words = ["go", "mod", "download", "-json", f"-modfile={component.modfile}", module]
    found = run(words, cwd=component.source, env={"GOWORK": "off"})
    return Path(json.loads(found.stdout)["Dir"])


def _title(component: Component) -> str:
    if component.name == "kubernetes":
        version = re.search(r"gitVersion=v(\S+)", component.linker_flags)
        return f"kubernetes {version.group(1) if version else ''} (about 6 minutes when cold)"
    return component.name


def _require_go() -> None:
    if shutil.which("go") is None:
        raise ClusterError("Go is not installed: install Go 1.26 or later from https://go.dev/dl and put it in PATH")


def _build_one(component: Component) -> None:
    target = component.folder
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{component.name}-", dir=target.parent) as scratch:
        built = Path(scratch) / "bin"
        built.mkdir()
        for program, package in component.programs.items():
            _go_build(component, package, built / program)
        for link in component.links:
            (built / link).symlink_to(next(iter(component.programs)))
        if not target.exists():
            built.rename(target)


def _go_build(component: Component, package: str, output: Path) -> None:
    command = ["go", "build", "-trimpath", f"-modfile={component.modfile}", "-ldflags", component.linker_flags]
    if component.tags:
        command += ["-tags", component.tags]
    process = run(
        [*command, "-o", output, package],
        cwd=component.source,
        env={"CGO_ENABLED": str(int(component.cgo)), "GOWORK": "off"},
        check=False,
        timeout=3600,
    )
    if process.returncode == 0:
        return
    words = " / ".join(process.stderr.strip().splitlines()[-3:])
    if NO_NETWORK.search(process.stderr):
        raise ClusterError(f"cannot fetch Go modules: check the network, or set GOPROXY to a mirror ({words})")
    if "no space left" in process.stderr:
        raise ClusterError(f"the disk is full: free space under {output.parent} and Go's build cache ({words})")
    raise ClusterError(f"building {component.name} failed: {words}")
