"""A cluster with kind, which needs a Docker engine: the images come from the same Containerfiles."""

import shutil
from pathlib import Path

from berth_dev.commands import run
from berth_dev.errors import ClusterError
from berth_dev.images.build import Image
from berth_dev.progress import step

CLUSTER = "berth"
KUBECONFIG = "kind.kubeconfig"


def create(folder: Path, *images: Image) -> tuple[Path, str]:
    """Make the cluster, build and load images; answers its kubeconfig and its node's address."""
    _require()
    folder.mkdir(parents=True, exist_ok=True)
    kubeconfig = folder / KUBECONFIG
    if CLUSTER not in run(["kind", "get", "clusters"]).stdout.split():
        with step("making a cluster with kind"):
            run(["kind", "create", "cluster", "--name", CLUSTER, "--wait", "120s"], timeout=900)
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(run(["kind", "get", "kubeconfig", "--name", CLUSTER]).stdout, encoding="utf-8")
    for image in images:
        with step(f"building and loading {image.name}"):
            containerfile = image.root / image.containerfile
            run(["docker", "build", "-q", "-t", image.reference, "-f", containerfile, image.root], timeout=1800)
            run(["kind", "load", "docker-image", "--name", CLUSTER, image.reference], timeout=900)
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    address = run(["docker", "inspect", "-f", template, f"{CLUSTER}-control-plane"]).stdout.strip()
    return kubeconfig, address


def delete() -> None:
    """Delete the cluster; nothing to delete is fine."""
    _require()
    with step("deleting the kind cluster"):
        run(["kind", "delete", "cluster", "--name", CLUSTER])


def _require() -> None:
    for program, source in (("kind", "https://kind.sigs.k8s.io"), ("docker", "https://docs.docker.com/engine/install")):
        if shutil.which(program) is None:
            raise ClusterError(f"CLUSTER=kind needs {program}: install it from {source}, or leave CLUSTER unset")
    if run(["docker", "info"], check=False).returncode != 0:
        raise ClusterError("CLUSTER=kind needs a running Docker engine: start it, or leave CLUSTER unset")
