"""The operator as a process of its own, with the rights that charts/berth/files/rights.yaml lists and no others."""

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import documented
from documented import Right
from forked import Process, start

from berth_dev.envtest.accounts import account
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces
from berth_dev.ports import free_port


@dataclass
class Operators:
    """Operator processes of one test."""

    kubeconfig: Path
    namespaces: Namespaces
    folder: Path
    running: list[Process] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    def start(self, **environment: str) -> Process:
        port, number = free_port(), len(self.running)
        settings = {
            "KUBECONFIG": str(self.kubeconfig),
            "BERTH_NAMESPACE": self.namespaces.release,
            "BERTH_WORKSPACE_NAMESPACES": self.namespaces.workspaces,
            "BERTH_ACCESS_NAMESPACE": self.namespaces.access,
            "BERTH_AGENT_IMAGE": "berth.invalid/berth:test",
            "BERTH_IDENTITY": f"operator-{number}",
            "BERTH_LISTEN": str(port),
            "BERTH_LOG_LEVEL": "DEBUG",
        }
        log = self.folder / f"operator-{number}.log"
        process = start("berth_operator", {"PATH": os.environ["PATH"], **settings, **environment}, log)
        self.running.append(process)
        self.ports.append(port)
        return process

    def stop_all(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.running:
            process.wait(timeout=60)


def restricted_kubeconfig(
    server: ApiServer, namespaces: Namespaces, folder: Path, more: frozenset[Right] = frozenset()
) -> Path:
    """A kubeconfig for a service account with the documented rights, and perhaps more."""
    rules = documented.rules(documented.rights("operator") | more, namespaces)
    return account(server, f"operator-{namespaces.release}", namespaces.release, rules, folder)
