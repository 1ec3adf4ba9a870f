"""What the test fixtures are made of: namespaces of a test's own, CRDs applied and established."""

import uuid
from dataclasses import dataclass

from berth_cluster.apiserver import ApiServer
from berth_cluster.paths import REPOSITORY

NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {{name: {name}, labels: {{berth.dev/test: {test}}}}}
---
"""


@dataclass(frozen=True)
class Namespaces:
    """Names of three namespaces that exist and are this test's own."""

    release: str
    workspaces: str
    access: str


def make_namespaces(server: ApiServer) -> Namespaces:
    """Create a fresh set of namespaces."""
    test = f"t-{uuid.uuid4().hex[:10]}"
    made = Namespaces(release=f"{test}-berth", workspaces=f"{test}-workspaces", access=f"{test}-access")
    manifest = "".join(NAMESPACE.format(name=name, test=test) for name in (made.release, made.workspaces, made.access))
    server.kubectl("create", "-f", "-", stdin=manifest)
    return made


def apply_crds(server: ApiServer) -> None:
    """Apply crds/*.yaml and return once the API server serves them."""
    files = sorted((REPOSITORY / "crds").glob("*.yaml"))
    if not files:
        return
    arguments = [word for path in files for word in ("-f", str(path))]
    server.kubectl("apply", "--server-side", *arguments)
    server.kubectl("wait", "--for=condition=Established", "--timeout=30s", *arguments)
