"""The notifier as a process of its own, with the rights that charts/berth/files/rights.yaml lists and no others."""

import asyncio
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import documented
import httpx
from forked import Process, start

from berth_dev.envtest.accounts import account
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces
from berth_dev.ports import free_port

HERE = "127.0.0.1/32"
"""Allow-list with the test's receivers."""
READY_SECONDS = 60.0


@dataclass
class Notifiers:
    """Notifier processes of one test."""

    kubeconfig: Path
    namespaces: Namespaces
    keys: Path
    folder: Path
    running: list[Process] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    """Where each serves its health and metrics."""
    serving: list[int] = field(default_factory=list)
    """Ports of those that were not stopped."""

    def start(self, allowed: str = HERE, **environment: str) -> Process:
        """Start one; `allowed` are the networks that it may send to though they are private."""
        self.ports.append(free_port())
        settings = {
            "KUBECONFIG": str(self.kubeconfig),
            "BERTH_NAMESPACE": self.namespaces.release,
            "BERTH_WORKSPACE_NAMESPACES": self.namespaces.workspaces,
            "BERTH_WEBHOOK_ALLOWED_CIDRS": allowed,
            "BERTH_WEBHOOK_KEYS": str(self.keys),
            "BERTH_LISTEN": str(self.ports[-1]),
        }
        settings |= {"PATH": os.environ["PATH"], **environment}
        process = start("berth_notifier", settings, self.log(len(self.running)))
        self.running.append(process)
        self.serving.append(self.ports[-1])
        return process

    async def ready(self) -> None:
        """Wait until all that run say that they are ready: sooner one does not end as it should either."""
        async with httpx.AsyncClient() as http:
            for port in self.serving:
                deadline = time.monotonic() + READY_SECONDS
                while not await _is_ready(http, port):
                    assert time.monotonic() < deadline, f"not ready: {self.log(self.ports.index(port)).read_text()}"

    def log(self, number: int) -> Path:
        """Log file of a process."""
        return self.folder / f"notifier-{number}.log"

    def stop_all(self) -> None:
        """Stop what runs; it must end as it should."""
        alive = [process for process in self.running if process.poll() is None]
        for process in alive:
            process.send_signal(signal.SIGTERM)
        ends = [process.wait(timeout=60) for process in alive]
        self.serving.clear()
        assert not any(ends), [self.log(number).read_text() for number in range(len(self.running))]


async def _is_ready(http: httpx.AsyncClient, port: int) -> bool:
    try:
        if (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
            return True
    except httpx.TransportError:
        pass  # not listening yet
    await asyncio.sleep(0.1)
    return False


def restricted_kubeconfig(
    server: ApiServer, namespaces: Namespaces, folder: Path, tokens: tuple[str, ...] = ()
) -> Path:
    """A kubeconfig for a service account with the documented rights; `tokens` are the listed Secrets."""
    rights = documented.rights("notifier") | {("release", "", "secrets", name, "get") for name in tokens}
    rules = documented.rules(rights, namespaces)
    return account(server, "berth-notifier", namespaces.release, rules, folder)
