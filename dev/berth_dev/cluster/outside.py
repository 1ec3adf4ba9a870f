"""Clients outside of the cluster: commands run at an address of their own on the bridge."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from berth_dev import commands
from berth_dev.cluster.network import OUTSIDE, Machine
from berth_dev.errors import ClusterError

SSH_OPTIONS = ("StrictHostKeyChecking=yes", "BatchMode=yes", "IdentitiesOnly=yes", "ConnectTimeout=3")


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status and body."""

    status: int
    text: str


@dataclass(frozen=True)
class Login:
    """Login for ssh: address (host, port), the private key, the known hosts that ssh may trust."""

    address: tuple[str, int]
    key: Path
    known_hosts: Path


@dataclass(frozen=True)
class Outside:
    """One client outside of the cluster; `address` is the source address that the cluster sees."""

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
        """Run a command at this address; the caller judges its exit code."""
        return commands.run(self.command(*words), check=False, timeout=timeout)

    def request(
        self, method: str, url: str, *, token: str = "", body: object = None, authority: Path | None = None
    ) -> Answer:
        """Send an HTTP request with curl, `body` as JSON; ClusterError where no answer came within 30 s.

        `authority` is the file of trusted certificates; without it the system's count.
        """
        words = ["curl", "-sS", "--max-time", "30", "-X", method, "-w", "\n%{http_code}", url]
        if authority is not None:
            words += ["--cacert", str(authority)]
        if token:
            words += ["-H", f"Authorization: Bearer {token}"]
        if body is not None:
            words += ["-H", "Content-Type: application/json", "--data-binary", json.dumps(body)]
        process = self.run(*words)
        if process.returncode != 0:
            raise ClusterError(f"{method} {url}: {commands.last_words(process)}")
        text, _, status = process.stdout.rpartition("\n")
        return Answer(status=int(status), text=text)

    def ssh(self, login: Login, command: str, *, patience: int = 15) -> subprocess.CompletedProcess[str]:
        """Run a command over ssh as root, trusting nothing but the login's known hosts.

        Exit code 255 is ssh's own failure; 124 means that the other end was silent for `patience` seconds.
        """
        host, port = login.address
        settings = (*SSH_OPTIONS, f"UserKnownHostsFile={login.known_hosts}")
        options = [word for setting in settings for word in ("-o", setting)]
        words: list[str | Path] = [
            "ssh",
            "-F",
            "none",
            "-i",
            login.key,
            "-p",
            str(port),
            *options,
            f"root@{host}",
            command,
        ]
        return self.run("timeout", str(patience), *words)


def clients() -> tuple[Outside, ...]:
    """All outside clients of the running cluster."""
    return tuple(Outside(machine=machine) for machine in OUTSIDE)
