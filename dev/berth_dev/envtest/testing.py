"""Parts of the test fixtures: namespaces of a test's own, CRDs applied and established."""

import uuid
from dataclasses import dataclass
from pathlib import Path

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.types import Object
from berth_core.resources import WorkspaceDeployment
from berth_dev.cluster import install, nodes
from berth_dev.cluster.nodes import Cluster
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import asking
from berth_dev.errors import ClusterError
from berth_dev.paths import REPOSITORY


@dataclass(frozen=True)
class Namespaces:
    """Names of three namespaces that exist and are this test's own."""

    release: str
    workspaces: str
    access: str

    @property
    def keeper(self) -> str:
        """Name of the one for credentials of relays; tests that need it make it."""
        return f"{self.release}-keeper"


@dataclass(frozen=True)
class BerthCluster(Cluster):
    """The two-node cluster with Berth and the samples; `apis` are the API's base URLs, one a node."""

    apis: tuple[str, ...]
    berth: Path
    """The command line interface of this repository."""


def berth_cluster() -> BerthCluster:
    """The cluster with Berth from the work tree, without instances.

    A running cluster is used again: only changed images and releases are rolled out.
    """
    target = install.local()
    install.install(target)
    install.write_environment(target)
    cluster = nodes.find()
    if cluster is None:
        raise ClusterError("the cluster ended while Berth was installed: see its logs")
    cluster.kubectl("delete", "instances.berth.dev", "--all", "--all-namespaces", "--timeout=60s")
    return BerthCluster(
        kubeconfig=cluster.kubeconfig,
        url=cluster.url,
        tools=cluster.tools,
        state=cluster.state,
        apis=install.LOCAL_APIS,
        berth=REPOSITORY / ".venv" / "bin" / "berth",
    )


async def looked_at(client: Client, obj: Object) -> Object:
    """Mark a deployment as the operator does at its first pass, where none runs; then it can be lent."""
    kind, metadata = WorkspaceDeployment.api(), obj["metadata"]
    where = (metadata["namespace"], metadata["name"])
    await client.patch(kind, *where, {"metadata": {"finalizers": [names.FENCE_FINALIZER]}})
    return await client.patch(kind, *where, {"status": {"observedGeneration": 1}}, subresource="status")


async def vanished(client: Client, namespace: str, name: str) -> None:
    """Delete a deployment and its finalizer, as the operator does when nobody has it."""
    await client.delete(WorkspaceDeployment.api(), namespace, name)
    await client.patch(WorkspaceDeployment.api(), namespace, name, {"metadata": {"finalizers": None}})


def make_namespaces(server: ApiServer) -> Namespaces:
    """Create a fresh set of namespaces."""
    test = f"t-{uuid.uuid4().hex[:10]}"
    namespaces = Namespaces(release=f"{test}-berth", workspaces=f"{test}-workspaces", access=f"{test}-access")
    with asking(server) as ask:
        for name in (namespaces.release, namespaces.workspaces, namespaces.access):
            metadata = {"name": name, "labels": {"berth.dev/test": test}}
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
            ask("", "POST", "/api/v1/namespaces", body, dry=False).raise_for_status()
    return namespaces


def apply_crds(server: ApiServer, folder: Path = REPOSITORY / "crds") -> None:
    """Apply the folder's CRDs and return once the API server serves them."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        return
    arguments = [word for path in files for word in ("-f", str(path))]
    server.kubectl("apply", "--server-side", *arguments)
    server.kubectl("wait", "--for=condition=Established", "--timeout=30s", *arguments)
    # Established comes before the storage is ready; kubectl waits as the 429 of the first lists asks.
    server.kubectl("get", ",".join(f"{path.stem}.berth.dev" for path in files), "--all-namespaces")
