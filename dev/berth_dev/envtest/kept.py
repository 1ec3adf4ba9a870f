"""An API server that stays between runs of the tests, so that one test begins at once: ``make apiserver`` serves it."""

import hashlib
import os
from pathlib import Path
from typing import Final

import httpx

from berth_dev.components import build, control_plane_components
from berth_dev.envtest.apiserver import ApiServer, url_of
from berth_dev.envtest.asking import asking
from berth_dev.envtest.testing import apply_crds
from berth_dev.errors import ClusterError
from berth_dev.paths import REPOSITORY

VARIABLE: Final = "BERTH_ENVTEST"
WORKER: Final = "PYTEST_XDIST_WORKER"
CRDS: Final = REPOSITORY / "crds"
_LIST: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def kept() -> ApiServer | None:
    """Return the server whose kubeconfig BERTH_ENVTEST names, with this work tree's CRDs; None where it names none.

    Workers of pytest-xdist have servers of their own. Raises ClusterError where that server does not answer.
    """
    named = os.environ.get(VARIABLE)
    if not named or WORKER in os.environ:
        return None
    config = Path(named).resolve()
    try:
        server = ApiServer(config, url_of(config), build(control_plane_components()))
        ensure_crds(server)
    except (OSError, httpx.TransportError) as error:
        raise ClusterError(f"{VARIABLE}={named} is no server that answers: start it with `make apiserver`") from error
    return server


def ensure_crds(server: ApiServer, folder: Path = CRDS) -> None:
    """Apply the folder's CRDs, unless the server still has them as this function left them."""
    mark = server.kubeconfig.with_name("crds")
    if not (mark.exists() and mark.read_text(encoding="utf-8") == _state(server, folder)):
        apply_crds(server, folder)
        mark.write_text(_state(server, folder), encoding="utf-8")


def _state(server: ApiServer, folder: Path) -> str:
    """Describe the folder's files, and the server's CRDs with their generations: a change by anybody raises one."""
    files = b"".join(path.read_bytes() for path in sorted(folder.glob("*.yaml")))
    with asking(server) as ask:
        found = [item["metadata"] for item in ask("", "GET", _LIST).raise_for_status().json()["items"]]
    generations = [f"{one['name']} {one['uid']} {one['generation']}" for one in found]
    return "\n".join([hashlib.sha256(files).hexdigest(), *sorted(generations)])
