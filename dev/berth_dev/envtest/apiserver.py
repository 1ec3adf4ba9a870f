"""The small tiers: etcd and kube-apiserver on loopback, with or without kube-controller-manager.

Each has its own folder and ports, so that several run side by side, and ends with the process
that started it.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from berth_dev import commands
from berth_dev.cluster.control_plane import ControlPlane, ControlPlaneOptions
from berth_dev.components import Toolbox, build, control_plane_components
from berth_dev.errors import ClusterError
from berth_dev.supervisor import Supervisor


@dataclass(frozen=True)
class ApiServer:
    """A running API server: its kubeconfig (cluster-admin), URL, and built programs."""

    kubeconfig: Path
    url: str
    tools: Toolbox

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl against it and answer its standard output; ClusterError where it fails."""
        command: list[str | Path] = [self.tools.path("kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]
        return commands.run(command, stdin=stdin, check=check).stdout


def prepare(
    folder: Path,
    tools: Toolbox,
    *,
    controllers: bool,
    audit_policy: Path | None = None,
    flags: tuple[str, ...] = (),
) -> ControlPlane:
    """Write certificates and process descriptions of a fresh control plane to `folder`."""
    for leftover in ("pki", "etcd", "processes", "pids", "logs"):
        shutil.rmtree(folder / leftover, ignore_errors=True)
    plane = ControlPlane(ControlPlaneOptions(folder=folder, audit_policy=audit_policy, flags=flags), tools)
    specs = [plane.etcd(), plane.apiserver()]
    if controllers:
        specs.append(plane.controller_manager())
    for spec in specs:
        spec.save(folder / "processes")
    return plane


def serve(
    folder: Path,
    *,
    controllers: bool,
    until_eof: bool,
    audit_policy: Path | None = None,
    flags: tuple[str, ...] = (),
) -> None:
    """Run the tier in the foreground; prints the kubeconfig's path once it is ready.

    Ends at SIGTERM or SIGINT, and with `until_eof` also when standard input is closed.
    """
    tools = build(control_plane_components())
    plane = prepare(folder, tools, controllers=controllers, audit_policy=audit_policy, flags=flags)
    supervisor = Supervisor(folder)
    signal.signal(signal.SIGTERM, supervisor.stop)
    signal.signal(signal.SIGINT, supervisor.stop)
    failed: list[ClusterError] = []

    def announce() -> None:
        try:
            plane.wait_ready(timeout=90)
            print(plane.kubeconfig, flush=True)
        except ClusterError as error:
            failed.append(error)
            supervisor.stop()

    def watch_input() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        supervisor.stop()

    threading.Thread(target=announce, daemon=True).start()
    if until_eof:
        threading.Thread(target=watch_input, daemon=True).start()
    supervisor.run()
    if failed:
        raise failed[0]


@contextmanager
def running(
    folder: Path,
    *,
    controllers: bool = False,
    audit_policy: Path | None = None,
    timeout: float = 120,
    flags: tuple[str, ...] = (),
) -> Iterator[ApiServer]:
    """The tier as a context: started in a process of its own, which ends with ours in any case.

    `flags` are further ones of the API server, without dashes: `name=value`.
    """
    tools = build(control_plane_components())
    command = [sys.executable, "-m", "berth_dev", "controllers" if controllers else "apiserver"]
    audited = ["--audit-policy", str(audit_policy)] if audit_policy else []
    process = subprocess.Popen(
        [*command, "--dir", str(folder), "--until-eof", *audited, *(f"--flag={flag}" for flag in flags)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        config = Path(_first_line(process, timeout))
        yield ApiServer(kubeconfig=config, url=url_of(config), tools=tools)
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait(timeout=60)


def _first_line(process: subprocess.Popen[str], timeout: float) -> str:
    if process.stdout is None:
        raise ClusterError("the API server's process has no output to read")
    readable, _, _ = select.select([process.stdout], [], [], timeout)
    line = process.stdout.readline().strip() if readable else ""
    if not line:
        raise ClusterError(f"the API server did not start within {timeout:g} s: its reason is above")
    return line


def url_of(config: Path) -> str:
    """Return the URL of the server that a kubeconfig is for."""
    url: str = yaml.safe_load(config.read_text(encoding="utf-8"))["clusters"][0]["cluster"]["server"]
    return url
