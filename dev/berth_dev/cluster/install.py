"""`up` and `down`: a cluster of the kind that `CLUSTER` names, with Berth and the samples on it."""

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from berth_dev.cluster import certificates, devices, kind, loading, network, nodes
from berth_dev.cluster.certificates import Certificate
from berth_dev.commands import run
from berth_dev.components import HELM, build, kubernetes
from berth_dev.errors import ClusterError
from berth_dev.images import build as images
from berth_dev.paths import REPOSITORY
from berth_dev.progress import note, step

RELEASE = "berth"
CHART = REPOSITORY / "charts" / "berth"
VALUES = REPOSITORY / "dev" / "values.yaml"
WORKSPACES = "berth-workspaces"
SAMPLES = REPOSITORY / "samples"
NODE_PORT = 30080
LOCAL_APIS = tuple(f"https://{node.address}:{NODE_PORT}" for node in network.NODES)
# Folder of the file to source; a cluster in another slot has a folder of its own.
ENVIRONMENT = REPOSITORY / ".berth" / (f"slot-{network.SLOT}" if network.SLOT else "")
TLS_FOLDER = ENVIRONMENT / "tls"
WRITTEN = ("env", "bin", "tls", certificates.BUNDLE, kind.KUBECONFIG)
"""Names in that folder that `up` writes; beside them are reports of tests, which outlive a cluster."""
HELM_TIMEOUT = 240
SAMPLES_DEADLINE = 30.0


@dataclass(frozen=True)
class Target:
    """A cluster to install into: how to reach it, and the image to run there."""

    kubeconfig: Path
    api: str
    kubectl: Path
    helm: Path
    helm_arguments: tuple[str, ...]
    certificate: Certificate | None = None
    """The API's; None where the cluster's owner provides it."""

    def run_kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Run kubectl on it and answer its standard output."""
        return run([self.kubectl, f"--kubeconfig={self.kubeconfig}", *words], stdin=stdin).stdout

    def run_helm(self, *words: str) -> str:
        """Run helm on it and answer its standard output."""
        return run([self.helm, f"--kubeconfig={self.kubeconfig}", *words], timeout=HELM_TIMEOUT + 60).stdout


def up() -> Target:
    """Make cluster, images, release, samples and `.berth/env`; existing parts stay."""
    kind_of_cluster = _kind_of_cluster()
    if kind_of_cluster == "local":
        target = local()
    elif kind_of_cluster == "kind":
        target = _kind()
    else:
        target = _existing()
    install(target)
    write_environment(target)
    return target


def down() -> None:
    """Undo `up`: remove the whole cluster, or from an existing one Berth and the samples."""
    kind_of_cluster = _kind_of_cluster()
    if kind_of_cluster == "local":
        nodes.stop()
    elif kind_of_cluster == "kind":
        kind.delete()
    else:
        target = _existing()
        with step("uninstalling Berth"):
            # First the release, whose uninstall ends the leases that hold the samples.
            target.run_helm("uninstall", RELEASE, "-n", RELEASE, "--ignore-not-found", "--wait")
            target.run_kubectl("delete", "--ignore-not-found", "-f", str(SAMPLES))
    forget()


def forget() -> None:
    """Remove what `up` wrote about a cluster."""
    for path in (ENVIRONMENT / name for name in WRITTEN):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def local() -> Target:
    """The local two-node cluster, running and with our images loaded."""
    cluster = nodes.start()
    built = images.build_all()
    loading.load(cluster, built)
    tags = {one.image.name: one.key for one in built}
    certificate = _certificate(*(node.address for node in network.NODES))
    return Target(
        kubeconfig=cluster.kubeconfig,
        api=LOCAL_APIS[0],
        kubectl=cluster.tools.path("kubectl"),
        helm=cluster.tools.path("helm"),
        # A tag by content makes helm roll out exactly what changed.
        helm_arguments=(
            *("-f", str(VALUES)),
            *("--set-json", f"instances.machineCidrs={json.dumps([str(network.ROBOTS)])}"),
            *("--set-string", f"image.tag={tags['berth']}", "--set-string", f"vpn.image.tag={tags['berth-vpn']}"),
            *("--set-string", f"ci.image.tag={tags['berth-ci']}"),
            *("--set-string", f"devices.image.tag={tags['berth-devices']}", *devices.values()),
            *_secured(certificate),
        ),
        certificate=certificate,
    )


def running() -> tuple[str, Path, Path]:
    """The API's base URL, its authority, and the kubeconfig of the local cluster; ClusterError where none runs.

    The tour needs clients outside of the cluster, which only the local one has.
    """
    if _kind_of_cluster() != "local":
        raise ClusterError("the tour needs the local cluster's outside clients: leave CLUSTER unset")
    cluster = nodes.find()
    if cluster is None:
        raise ClusterError("no local cluster runs: start it with `make up`")
    return LOCAL_APIS[0], TLS_FOLDER / "ca.crt", cluster.kubeconfig


def install(target: Target) -> None:
    """Run `helm upgrade --install`, then apply the samples; ClusterError with the pods' reasons where it fails."""
    with step("installing Berth with helm"):
        if target.certificate is not None:
            _apply_certificate(target, target.certificate)
        words = ["upgrade", "--install", RELEASE, str(CHART), "-n", RELEASE, "--create-namespace"]
        words += [*target.helm_arguments, "--wait", f"--timeout={HELM_TIMEOUT}s"]
        try:
            target.run_helm(*words)
        except ClusterError as error:
            raise ClusterError(f"{error}; {_why(target)}") from error
    if SAMPLES.is_dir():
        with step("applying samples"):
            _apply_samples(target)
            # Then the deployments can be lent.
            for field in ("{.metadata.finalizers}", "{.status.observedGeneration}"):
                condition = ("wait", "wd", "--all", "-n", WORKSPACES, f"--for=jsonpath={field}")
                target.run_kubectl(*condition, f"--timeout={HELM_TIMEOUT}s")


def _certificate(*addresses: str) -> Certificate:
    """The API's certificate for its addresses; the same in each run, so that clients need to trust it once."""
    return certificates.ensure(TLS_FOLDER, [*addresses, *os.environ.get("BERTH_API_NAMES", "").split()])


def _secured(certificate: Certificate) -> tuple[str, ...]:
    """Arguments for helm by which a new certificate makes new pods, and so is served at once."""
    return ("--set-string", f"api.podAnnotations.certificate={certificate.digest}")


def _apply_certificate(target: Target, certificate: Certificate) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RELEASE}}
    objects = {"apiVersion": "v1", "kind": "List", "items": [namespace, certificate.secret(RELEASE)]}
    target.run_kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(objects))


def _apply_samples(target: Target) -> None:
    """Apply the samples; kinds and policies that were made a moment ago may need another try."""
    deadline = time.monotonic() + SAMPLES_DEADLINE
    while True:
        try:
            target.run_kubectl("apply", "-f", str(SAMPLES))
        except ClusterError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return


def _why(target: Target) -> str:
    """Reasons why the release's pods are not ready, on one line."""
    pods = json.loads(target.run_kubectl("get", "pods", "-n", RELEASE, "-o", "json"))["items"]
    reasons = []
    for pod in pods:
        for container in pod["status"].get("containerStatuses", []):
            if not container["ready"]:
                state = container["state"].get("waiting") or container["state"].get("terminated") or {}
                reasons.append(f"{pod['metadata']['name']}: {state.get('reason', 'not ready')}")
    return "; ".join(reasons) or f"see `kubectl get pods -n {RELEASE}`"


def write_environment(target: Target) -> None:
    """Write `.berth/env` (shell syntax) and links to kubectl, helm and berth in `.berth/bin`."""
    links = ENVIRONMENT / "bin"
    links.mkdir(parents=True, exist_ok=True)
    programs = {"kubectl": target.kubectl, "helm": target.helm}
    for name in ("berth", "kubectl-berth"):
        programs[name] = REPOSITORY / ".venv" / "bin" / name
    for name, program in programs.items():
        (links / name).unlink(missing_ok=True)
        (links / name).symlink_to(program)
    lines: dict[str, object] = {"KUBECONFIG": target.kubeconfig, "BERTH_API": target.api, "PATH": f"{links}:$PATH"}
    if target.certificate is not None:
        lines |= certificates.trust(ENVIRONMENT, target.certificate.authority)
    text = "".join(f'export {name}="{value}"\n' for name, value in lines.items())
    (ENVIRONMENT / "env").write_text(text, encoding="utf-8")
    path = os.path.relpath(ENVIRONMENT / "env", REPOSITORY)
    note(f"Berth answers at {target.api}; `. {path}` sets {', '.join(lines)}")


def _kind_of_cluster() -> str:
    kind = os.environ.get("CLUSTER") or "local"
    if kind not in ("local", "existing", "kind"):
        raise ClusterError(f"CLUSTER={kind} is unknown: use local (the default), existing, or kind")
    return kind


def _existing() -> Target:
    """The cluster of the current kubeconfig; `HELM_ARGS` says which image it can pull."""
    kubeconfig = Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    if not kubeconfig.exists():
        raise ClusterError(f"CLUSTER=existing needs a kubeconfig and {kubeconfig} is not there: set KUBECONFIG")
    arguments = os.environ.get("HELM_ARGS", "").split()
    if not arguments:
        note("HELM_ARGS is empty: the cluster pulls the chart's default image; set image.repository for your own")
    return Target(
        kubeconfig=kubeconfig,
        api=os.environ.get("BERTH_API", ""),
        kubectl=_program("kubectl"),
        helm=_program("helm"),
        helm_arguments=tuple(arguments),
    )


def _kind() -> Target:
    kubeconfig, address = kind.create(ENVIRONMENT, images.BERTH, images.WORKSPACE, images.VPN, images.CI)
    certificate = _certificate(address)
    return Target(
        kubeconfig=kubeconfig,
        api=f"https://{address}:{NODE_PORT}",
        kubectl=_program("kubectl"),
        helm=_program("helm"),
        helm_arguments=(
            *("-f", str(VALUES)),
            *(word for image in ("image", "vpn.image", "ci.image") for word in ("--set-string", f"{image}.tag=dev")),
            *_secured(certificate),
        ),
        certificate=certificate,
    )


def _program(name: str) -> Path:
    """The machine's own kubectl or helm, else ours."""
    if program := shutil.which(name):
        return Path(program)
    return build((kubernetes() if name == "kubectl" else HELM,)).path(name)
