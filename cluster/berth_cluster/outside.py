"""Clients outside of the cluster: commands run at an address of their own on the bridge."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from berth_cluster import commands
from berth_cluster.errors import ClusterError
from berth_cluster.network import OUTSIDE, Machine

SSH_OPTIONS = ("StrictHostKeyChecking=yes", "BatchMode=yes", "IdentitiesOnly=yes", "ConnectTimeout=3")


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status and body."""

    status: int
    text: str


@dataclass(frozen=True)
class Outside:
    """One client outside of the cluster; `address` is what the cluster sees as its source."""

    machine: Machine

    @property
    def namespace(self) -> str:
        """Name of its network namespace in /run/netns."""
        return self.machine.namespace

    @property
    def address(self) -> str:
        """Its IPv4 address."""
        return self.machine.address

    def command(self, *words: str | Path) -> list[str]:
        """`words` as a command that runs at this address."""
        return self.machine.command(*words)

    def run(self, *words: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command at this address; its exit code is the caller's to judge."""
        return commands.run(self.command(*words), check=False, timeout=timeout)

    def request(self, method: str, url: str, *, token: str = "", body: object = None) -> Answer:
        """Send an HTTP request with curl, `body` as JSON; ClusterError where no answer came within 30 s."""
        words = ["curl", "-sS", "--max-time", "30", "-X", method, "-w", "\n%{http_code}", url]
        if token:
            words += ["-H", f"Authorization: Bearer {token}"]
        if body is not None:
            words += ["-H", "Content-Type: application/json", "--data-binary", json.dumps(body)]
        done = self.run(*words)
        if done.returncode != 0:
            raise ClusterError(f"{method} {url}: {commands.last_words(done)}")
        text, _, status = done.stdout.rpartition("\n")
        return Answer(status=int(status), text=text)

    def ssh_command(
        self, address: tuple[str, int], *, key: Path, known_hosts: Path, command: Sequence[str]
    ) -> list[str]:
        """An ssh command to (host, port) as root that trusts nothing but `known_hosts`."""
        host, port = address
        options = [word for option in (*SSH_OPTIONS, f"UserKnownHostsFile={known_hosts}") for word in ("-o", option)]
        return ["ssh", "-F", "none", "-i", str(key), "-p", str(port), *options, f"root@{host}", *command]

    def ssh(
        self, address: tuple[str, int], *, key: Path, known_hosts: Path, command: Sequence[str]
    ) -> subprocess.CompletedProcess[str]:
        """Run `ssh_command` at this address."""
        return self.run(*self.ssh_command(address, key=key, known_hosts=known_hosts, command=command))


def clients() -> tuple[Outside, ...]:
    """All outside clients of the running cluster."""
    return tuple(Outside(machine=machine) for machine in OUTSIDE)
