"""A real API server with what the keys Job makes, an operator, replicas of the hub, and hosts that are enrolled."""

import asyncio
import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import documented
from forked import Process, start

from berth_cli.admin.connectors import enrolment, keys
from berth_cli.admin.connectors.enrolment import Invitation, Opening
from berth_cli.admin.keys import material
from berth_core import names
from berth_core.connectors import certificates
from berth_core.kube.client import Client
from berth_core.kube.errors import NotFoundError
from berth_core.pki import Authority
from berth_core.resources import Connector
from berth_dev.envtest.accounts import account
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces
from berth_dev.ports import free_port

CONNECTORS = Connector.api()


@dataclass
class Enrolled:
    """A host, by its folder."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        return self.folder / "connector.conf"

    def start(self) -> "Enrolled":
        with (self.folder / "log").open("ab") as log:
            command = [sys.executable, "-m", "berth_connector", "run", "--config", str(self.config)]
            self.process = subprocess.Popen(command, stderr=log, start_new_session=True)
        return self

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass
class Cluster:
    """Everything of one test."""

    server: ApiServer
    client: Client
    namespaces: Namespaces
    folder: Path
    processes: dict[str, Process] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    health: dict[str, int] = field(default_factory=dict)
    hosts: list[Enrolled] = field(default_factory=list)

    async def prepare(self) -> None:
        """Make keys as the Job does, but that the authority is older than all certificates of a test."""
        now, release = datetime.now(UTC), self.namespaces.release
        await keys.ensure(self.client, release, now - timedelta(days=365))
        pair = material.new_authority(now)
        data = {"tls.crt": pair.certificate, "tls.key": pair.key}
        body = {
            "metadata": {"name": names.AGENT_CA_SECRET},
            "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()},
        }
        await self.client.create(keys.SECRETS, release, body)
        authority = await self.authority()
        hub = certificates.hub(authority, now)
        for name, text in (("tls.crt", hub.certificate), ("tls.key", hub.key), ("ca.crt", authority.pair.certificate)):
            (self.folder / name).write_text(text)
        configmap = await self.client.get(keys.CONFIGMAPS, release, names.CONNECTOR_TRUST)
        (self.folder / "trust.json").write_text(configmap["data"]["trust.json"])

    async def secret(self, name: str) -> dict[str, bytes]:
        secret = await self.client.get(keys.SECRETS, self.namespaces.release, name)
        return {key: base64.b64decode(value) for key, value in secret["data"].items()}

    async def authority(self) -> Authority:
        held = await self.secret(names.CONNECTOR_CA_SECRET)
        return Authority(held["tls.crt"], held["tls.key"])

    def operator(self) -> Process:
        """Start an operator with its documented rights."""
        environment = {
            "BERTH_ACCESS_NAMESPACE": self.namespaces.access,
            "BERTH_AGENT_IMAGE": "berth.invalid/berth:test",
            "BERTH_IDENTITY": "operator",
        }
        return self._start("operator", "berth_operator", "operator", environment)

    def hub(self, replica: str = "berth-hub-0") -> Process:
        """Start a replica of the hub with its documented rights."""
        self.ports.setdefault(replica, free_port())
        environment = {
            "BERTH_HUB_PORT": str(self.ports[replica]),
            "BERTH_HUB_TLS": str(self.folder),
            "BERTH_HUB_TRUST": str(self.folder),
            "BERTH_HUB_REPLICA": replica,
        }
        return self._start("hub", "berth_hub", replica, environment)

    def _start(self, process: str, program: str, name: str, environment: dict[str, str]) -> Process:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        rules = documented.rules(documented.rights(process), self.namespaces)
        kubeconfig = account(self.server, f"{name}-{self.namespaces.release}", self.namespaces.release, rules, folder)
        settings = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(kubeconfig),
            "BERTH_NAMESPACE": self.namespaces.release,
            "BERTH_WORKSPACE_NAMESPACES": self.namespaces.workspaces,
            "BERTH_LISTEN": str(self.health.setdefault(name, free_port())),
        }
        self.processes[name] = start(program, settings | environment, folder / f"log-{len(list(folder.iterdir()))}")
        return self.processes[name]

    async def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.wait)

    async def invite(self, name: str = "bench-7", targets: Sequence[str] = ("127.0.0.1:9",)) -> Invitation:
        """Do what `berth connector enroll` does before it prints."""
        hub = f"127.0.0.1:{next(iter(self.ports.values()))}"
        await self.listening()
        opening = Opening(name, self.namespaces.workspaces, self.namespaces.release, hub, tuple(targets), "")
        return await enrolment.invite(self.client, opening)

    async def listening(self, seconds: float = 60.0) -> None:
        """Wait until the replicas that run take connections."""
        end = time.monotonic() + seconds
        for name in [one for one in self.processes if one in self.ports]:
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.ports[name])
                except OSError:
                    assert time.monotonic() < end, name
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break

    def host(self, name: str = "host") -> Enrolled:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        made = Enrolled(folder)
        self.hosts.append(made)
        return made

    async def enroll(self, host: Enrolled, invitation: Invitation, hub: str | None = None) -> tuple[int, str]:
        """Run the command on a host; its status and what it said."""
        words = [sys.executable, "-m", "berth_connector", "enroll", "--no-start", "--config", str(host.config)]
        words += ["--state", str(host.folder / "state"), "--trust", invitation.pin, "--token", invitation.token]
        for address in [hub] if hub else [f"127.0.0.1:{port}" for port in self.ports.values()]:
            words += ["--hub", address]
        for target in invitation.targets:
            words += ["--target", target]
        process = await asyncio.create_subprocess_exec(
            *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    async def connector(self, name: str = "bench-7") -> Connector | None:
        try:
            return Connector.parse(await self.client.get(CONNECTORS, self.namespaces.workspaces, name))
        except NotFoundError:
            return None

    async def until(
        self, what: Callable[[Connector], object], name: str = "bench-7", seconds: float = 30.0
    ) -> Connector:
        """Wait until a Connector is so."""
        end = time.monotonic() + seconds
        while True:
            connector = await self.connector(name)
            if connector is not None and what(connector):
                return connector
            assert time.monotonic() < end, connector
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        for host in self.hosts:
            host.stop()
        for name in list(self.processes):
            await self.kill(name)
