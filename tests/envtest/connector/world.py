"""An authority, replicas of the hub, and connectors as processes, all on this machine."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from berth_connector import config
from berth_core import names
from berth_core.connectors import certificates, trust
from berth_core.connectors.words import Signer
from berth_core.pki import Authority, pem
from berth_dev.ports import free_port

HERE = Path(__file__).parent
WORDS = rsa.generate_private_key(public_exponent=65537, key_size=2048)
DEPLOYMENT = "d0000000-0000-4000-8000-000000000001"


def until(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not (result := what()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
    return result


@dataclass
class Host:
    """A host with an enrolled connector."""

    world: "World"
    name: str
    uid: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        return self.folder / "connector.conf"

    def start(self, *fault: str, prefix: Sequence[str] = ()) -> "Host":
        program = [str(HERE / "faulty.py"), *fault, "--"] if fault else ["-m", "berth_connector"]
        command = [*prefix, sys.executable, *program, "run", "--config", str(self.config)]
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(command, stderr=log, start_new_session=True)
        log.close()
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def marks(self) -> Any:
        try:
            return json.loads((self.folder / "state" / "marks.json").read_text())["marks"]
        except FileNotFoundError:
            return {}

    def is_linked(self, *replicas: str) -> bool:
        return all(self.uid in self.world.links(replica) for replica in replicas or self.world.hubs)


@dataclass
class World:
    """The hub's side."""

    folder: Path
    authority: Authority = field(default_factory=lambda: Authority.new("test", datetime.now(UTC), timedelta(days=365)))
    signer: Signer = field(default_factory=lambda: Signer(pem(WORDS)))
    hubs: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    hosts: list[Host] = field(default_factory=list)
    objects: dict[str, Any] = field(default_factory=dict)
    version: int = 1

    def __post_init__(self) -> None:
        pair = certificates.hub(self.authority, datetime.now(UTC))
        self.folder.mkdir(exist_ok=True)
        (self.folder / "tls.crt").write_text(pair.certificate)
        (self.folder / "tls.key").write_text(pair.key)
        (self.folder / "ca.crt").write_text(self.authority.pair.certificate)
        (self.folder / "trust.json").write_text(trust.document(self.authority.pair.certificate, pem(WORDS)))
        self.put()

    def put(self) -> None:
        """Show the hub the Connectors as they are now."""
        beside = self.folder / "connectors.json.new"
        beside.write_text(json.dumps(self.objects))
        beside.replace(self.folder / "connectors.json")

    def hub(self, replica: str = "hub-a", replicas: int = 1, prefix: Sequence[str] = ()) -> int:
        """Start a replica; return its port."""
        port = self.ports.setdefault(replica, free_port())
        command = [
            *prefix,
            sys.executable,
            str(HERE / "hub_process.py"),
            str(self.folder),
            str(port),
            replica,
            str(replicas),
        ]
        log = (self.folder / f"{replica}.log").open("ab")
        self.hubs[replica] = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        log.close()
        links = self.folder / f"links-{replica}.json"
        links.unlink(missing_ok=True)
        until(links.exists)
        return port

    def heard(self) -> bool:
        """Whether all replicas have heard of the Connectors as they are now."""
        text = (self.folder / "connectors.json").read_text()
        return all((self.folder / f"seen-{replica}.json").read_text() == text for replica in self.hubs)

    def kill_hub(self, replica: str) -> None:
        self.hubs[replica].kill()
        self.hubs.pop(replica).wait()

    def links(self, replica: str) -> list[str]:
        try:
            found: list[str] = json.loads((self.folder / f"links-{replica}.json").read_text())
        except (FileNotFoundError, ValueError):
            return []
        return found

    def connector(self, name: str, uid: str, **status: Any) -> None:
        """Write a Connector."""
        self.version += 1
        metadata = {"name": name, "namespace": "lab", "uid": uid, "resourceVersion": str(self.version)}
        self.objects[name] = {"metadata": metadata, "spec": {}, "status": status}
        self.put()

    def certificate(self, uid: str, key: ec.EllipticCurvePrivateKey, *, at: datetime | None = None) -> str:
        """Sign a certificate, as the operator does."""
        return certificates.connector(self.authority, uid, key.public_key(), at or datetime.now(UTC))

    def host(
        self,
        targets: Sequence[str],
        name: str = "bench-7",
        *,
        hubs: Sequence[str] = (),
        on_disconnect: Sequence[str] = (),
        at: datetime | None = None,
        timeout: float = 2.0,
    ) -> Host:
        """Make a host with an enrolled connector, which does not run yet."""
        uid = f"c-{name}"
        folder = self.folder / name
        (folder / "state").mkdir(parents=True)
        key = ec.generate_private_key(ec.SECP256R1())
        (folder / "state" / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        signed = self.certificate(uid, key, at=at)
        facts = certificates.facts_of(signed)
        assert facts is not None
        (folder / "state" / "certificate.pem").write_text(signed)
        (folder / "state" / "trust.json").write_text((self.folder / "trust.json").read_text())
        (folder / "state" / "connector.json").write_text(json.dumps({"name": name, "uid": uid}))
        self.connector(
            name,
            uid,
            certificate={
                "pem": signed,
                "serial": facts.serial,
                "notBefore": "2026-01-01T00:00:00Z",
                "notAfter": "2036-01-01T00:00:00Z",
                "tokenHash": "0" * 64,
                "requestHash": "0" * 64,
            },
        )
        addresses = tuple(("127.0.0.1", self.ports[replica]) for replica in hubs or self.ports)
        settings = config.Config(addresses, str(folder / "state"), tuple(targets), timeout, tuple(on_disconnect), 5.0)
        (folder / "connector.conf").write_text(config.render(settings))
        host = Host(self, name, uid, folder)
        self.hosts.append(host)
        return host

    def say(self, host: Host, *words: tuple[str, int, bool], deployment: str = DEPLOYMENT) -> None:
        """Have the operator say to a connector what the latest epoch is: ``(begun|ended, epoch, over)``."""
        obj = self.objects[host.name]
        obj["status"]["words"] = [
            {"deployment": deployment, "epoch": epoch, "over": over,
             "word": self.signer.sign(does, host.uid, deployment, epoch)}  # type: ignore[arg-type]
            for does, epoch, over in words
        ]  # fmt: skip
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.put()

    def word(self, host: Host, epoch: int, targets: Sequence[str], deployment: str = DEPLOYMENT) -> str:
        return self.signer.sign("open", host.uid, deployment, epoch, targets)

    def delete(self, host: Host) -> None:
        del self.objects[host.name]
        self.put()

    def close(self) -> None:
        for host in self.hosts:
            host.kill()
        for replica in list(self.hubs):
            self.kill_hub(replica)


class RefusedError(Exception):
    """The hub or the connector refused a stream."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status, self.reason = status, reason


@dataclass
class Flow:
    """A stream of a workspace."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, text: str) -> None:
        self.writer.write(text.encode())
        await self.writer.drain()

    async def ended(self, seconds: float = 5.0) -> bool:
        """Wait until the other side has closed it."""
        try:
            async with asyncio.timeout(seconds):
                while await self.reader.read(65536):
                    continue
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        self.writer.transport.abort()


async def flow(world: World, replica: str, target: str, word: str, host: str = "127.0.0.1") -> Flow:
    """Open a stream as an agent would. Raises RefusedError, OSError."""
    context = ssl.create_default_context(cadata=world.authority.pair.certificate)
    port = world.ports[replica]
    reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=names.HUB_DNS)
    writer.write(f"CONNECT {target} HTTP/1.1\r\nBerth-Word: {word}\r\n\r\n".encode())
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("no answer") from error
    status = int(head.split()[1])
    if status != 200:
        content = await reader.read()
        writer.close()
        raise RefusedError(status, json.loads(content)["reason"])
    return Flow(reader, writer)


async def opened(world: World, replica: str, target: str, word: str, seconds: float = 20.0, but: str = "") -> Flow:
    """Open a stream, again until it can be had, or is refused for good or for the reason ``but``."""
    end = time.monotonic() + seconds
    while True:
        try:
            return await flow(world, replica, target, word)
        except (RefusedError, OSError) as error:
            passing = isinstance(error, OSError) or (error.status in (502, 503) and error.reason != but)
            if time.monotonic() > end or not passing:
                raise
        await asyncio.sleep(0.05)


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def go_on(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)
