"""The peer beside Berth: kubernetes-sigs/agent-sandbox, built from its Go module, with manifests from that module.

Its controller is a process on this machine, not a pod: that needs no image, and takes the same processor time. It has
the service account, the rights and the defaults of its manifests. Two settings differ. No conversion is asked of it,
since the API server does not reach it. Pods that were claimed are replaced some seconds later, as Berth's are while
leases are being opened.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.peer.manifests import CLAIMS, NAMESPACE, POOLS, SYSTEM_NAMESPACE, TEMPLATES, installation
from bench.report import RESULTS

from berth_dev.components import PEER, PEER_MODULE, build, module_folder
from berth_dev.envtest.accounts import speaking_for
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.processes import ProcessSpec
from berth_dev.progress import step

ACCOUNT: Final = "agent-sandbox-controller"
START_SECONDS: Final = 60.0


@contextmanager
def installed(server: ApiServer, hold_back: float, folder: Path) -> Iterator[None]:
    """Install the peer for the length of a ``with`` block; nothing of it stays, however the block ends.

    ``hold_back`` is the time in seconds after which claimed pods are replaced. The controller logs to
    ``.berth/bench/agent-sandbox.log``; other files are in ``folder``.
    """
    overlay = folder / "installation"
    overlay.mkdir()
    base = os.path.relpath(module_folder(PEER, PEER_MODULE) / "k8s", overlay.resolve())
    (overlay / "kustomization.yaml").write_text(json.dumps(installation(base)))
    _remove(server, overlay)
    try:
        with step("installing the peer"):
            _apply(server, overlay)
        config = speaking_for(server, ACCOUNT, SYSTEM_NAMESPACE, folder)
        with _controller(server, config, hold_back):
            yield
    finally:
        with step("removing the peer"):
            _remove(server, overlay)


def _apply(server: ApiServer, overlay: Path) -> None:
    server.kubectl("apply", "--server-side", "-k", str(overlay))
    server.kubectl("create", "namespace", NAMESPACE)
    # Pods are refused until it is there.
    server.kubectl("wait", "--for=create", "serviceaccount/default", "-n", NAMESPACE, "--timeout=60s")
    server.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    # Established comes before the storage is ready; kubectl waits as the 429 of the first lists asks.
    server.kubectl("get", ",".join(kind.plural for kind in (TEMPLATES, POOLS, CLAIMS)), "-n", NAMESPACE)


def _remove(server: ApiServer, overlay: Path) -> None:
    """Delete all that the bench made of it, pods first; nothing to delete is no error."""
    patience = ("--ignore-not-found", "--wait", "--timeout=240s")
    server.kubectl("delete", "namespace", NAMESPACE, *patience)
    server.kubectl("delete", "-k", str(overlay), *patience)


@contextmanager
def _controller(server: ApiServer, config: Path, hold_back: float) -> Iterator[None]:
    """Run the controller until the block ends; it leads when the block begins."""
    command = (
        str(build((PEER,)).path(ACCOUNT)),
        f"--kubeconfig={config}",
        "--extensions",
        "--leader-elect=true",
        f"--leader-election-namespace={SYSTEM_NAMESPACE}",
        "--enable-webhook=false",
        "--metrics-bind-address=0",
        "--health-probe-bind-address=0",
        f"--sandbox-warm-pool-replenish-delay={hold_back}s",
    )
    log = RESULTS / "agent-sandbox.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        # In a session of its own: an interrupt from the terminal ends the bench, which then ends it.
        process = subprocess.Popen(
            ProcessSpec(ACCOUNT, command).argv(), stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait_until_it_leads(server, process, log)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_it_leads(server: ApiServer, process: "subprocess.Popen[bytes]", log: Path) -> None:
    holders = ("get", "leases", "-n", SYSTEM_NAMESPACE, "-o", "jsonpath={.items[*].spec.holderIdentity}")
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if server.kubectl(*holders).strip():
            return
        time.sleep(0.2)
    raise RuntimeError(f"the peer's controller does not lead; the end of its log:\n{log.read_text()[-2000:]}")
