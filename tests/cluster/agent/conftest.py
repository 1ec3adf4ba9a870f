"""A pod's network as the agent sees it: two network namespaces on a veth pair, made and removed by each test.

Addresses are from the benchmarking range 198.18.0.0/15 and the documentation range 2001:db8::/32.
"""

import ctypes
import http.client
import itertools
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from berth_core import names
from berth_core.firewall import Rule, closed_ruleset, compile_ruleset, parse_source

T = TypeVar("T")
ROOT = Path(__file__).parents[3]
EPOCH = 3
INSTANCE = "0190a0b0-0000-7000-8000-000000000001"
OPERATOR, OPERATOR6 = "198.18.200.9", "2001:db8:200::9"
_numbers = itertools.count(os.getpid() % 10000 * 100)


def sh(*command: str, check: bool = True) -> str:
    return subprocess.run(command, check=check, capture_output=True, text=True).stdout


class NetNS:
    """A network namespace. Sockets that are made in it stay in it, wherever they are used."""

    _libc = ctypes.CDLL(None, use_errno=True)

    def __init__(self, name: str) -> None:
        self.name = name
        sh("ip", "netns", "add", name)
        self.sh("ip", "link", "set", "lo", "up")

    def sh(self, *command: str, check: bool = True) -> str:
        return sh("nsenter", f"--net=/run/netns/{self.name}", *command, check=check)

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on a thread that lives in the namespace."""
        result: Future[T] = Future()

        def enter() -> None:
            try:
                with open(f"/run/netns/{self.name}", "rb") as handle:
                    if self._libc.setns(handle.fileno(), 0):
                        raise OSError(ctypes.get_errno(), "setns")
                result.set_result(function())
            except BaseException as exc:
                result.set_exception(exc)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        return result.result()

    def open(self, family: int, kind: int, proto: int = 0) -> socket.socket:
        return self.call(lambda: socket.socket(family, kind, proto))

    def connect(self, to: tuple[str, int], *, source: str = "", timeout: float = 2.0) -> socket.socket:
        """TCP connection from an address of this namespace. TimeoutError is silence, ConnectionRefusedError a reset."""
        sock = self.open(socket.AF_INET6 if ":" in to[0] else socket.AF_INET, socket.SOCK_STREAM)
        try:
            # ICMP errors that come while connect() runs, as they do on one machine, are else seen at the next SYN only.
            sock.setsockopt(*((41, 25, 1) if ":" in to[0] else (0, 11, 1)))  # IPV6_RECVERR, IP_RECVERR
            sock.settimeout(timeout)
            if source:
                sock.bind((source, 0))
            sock.connect(to)
        except OSError:
            sock.close()
            raise
        return sock

    def listen(self, port: int, address: str = "::") -> socket.socket:
        sock = self.open(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(1024)
        return sock

    def remove(self) -> None:
        sh("ip", "netns", "del", self.name)


class Identity(NamedTuple):
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def files(self, folder: Path, stem: str) -> tuple[Path, Path]:
        crt, key = folder / f"{stem}.crt", folder / f"{stem}.key"
        crt.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        key.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return crt, key


def issue(dns: str, issuer: Identity | None = None, *, client: bool = False) -> Identity:
    """A certificate for a DNS name; without an issuer a CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, dns[:60])])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(dns)]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return Identity(key, builder.sign((issuer or Identity(key, None)).key, hashes.SHA256()))  # type: ignore[arg-type]


class Answer(NamedTuple):
    status: int
    fields: dict[str, Any]


class Pod:
    """One instance's pod: its network namespace, its agent's files and process, and the world outside."""

    ip, ip6 = "198.18.200.2", "2001:db8:200::2"

    def __init__(self, folder: Path) -> None:
        number = next(_numbers) % 100000
        self.inside, self.outside = NetNS(f"berth-pod{number}"), NetNS(f"berth-out{number}")
        self.secret, self.run, self.state = folder / "secret", folder / "run", folder / "state"
        self.folder = folder
        for path in (self.secret, self.run, self.state):
            path.mkdir()
        self.ca = issue("Berth agents CA")
        self.dns = names.agent_dns(INSTANCE, EPOCH)
        issue(self.dns, self.ca).files(self.secret, "tls")
        (self.secret / "ca.crt").write_bytes(self.ca.certificate.public_bytes(serialization.Encoding.PEM))
        self.operator = issue(names.OPERATOR_DNS, self.ca, client=True).files(folder, "operator")
        self.write_initial(EPOCH, closed_ruleset(EPOCH), ["ssh-ed25519 AAAAinitial holder"])
        self.mount: tuple[Path, str] | None = None
        self.process: subprocess.Popen[str] | None = None
        self.log = folder / "agent.log"
        self._wire()

    def _wire(self) -> None:
        """A veth pair; the outside has many addresses so that each can be judged differently."""
        self.outside.sh("ip", "link", "add", "out0", "type", "veth", "peer", "name", "eth0", "netns", self.inside.name)
        for address in (f"{self.ip}/24", f"{self.ip6}/64"):
            self.inside.sh("ip", "addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
        for last in range(9, 20):
            self.outside.sh("ip", "addr", "add", f"198.18.200.{last}/24", "dev", "out0")
            self.outside.sh("ip", "addr", "add", f"2001:db8:200::{last}/64", "dev", "out0", "nodad")
        for end, link in ((self.inside, "eth0"), (self.outside, "out0")):
            end.sh("sysctl", "-qw", f"net.ipv6.conf.{link}.accept_dad=0")
            end.sh("ip", "link", "set", link, "up")
        for end, link in ((self.inside, "eth0"), (self.outside, "out0")):
            wait_for(lambda end=end, link=link: "state UP" in end.sh("ip", "link", "show", link))

    def write_initial(self, epoch: int, ruleset: str, keys: list[str]) -> None:
        body = {"epoch": epoch, "generation": 0, "ruleset": ruleset, "authorizedKeys": keys, "notice": "Welcome.\n"}
        (self.secret / "initial.json").write_text(json.dumps(body))

    def command(self, *arguments: str, python: str = sys.executable) -> list[str]:
        """How the agent is started; ``mount`` lays a folder over another for it alone."""
        agent = [python, "-m", "berth_agent", *arguments]
        if self.mount:
            folder, over = self.mount
            agent = ["unshare", "--mount", "sh", "-c", f'mount --bind {folder} {over} && exec "$@"', "sh", *agent]
        return ["nsenter", f"--net=/run/netns/{self.inside.name}", *agent]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "agent"),
            "BERTH_AGENT_SECRET_DIR": str(self.secret),
            "BERTH_AGENT_RUN_DIR": str(self.run),
            "BERTH_AGENT_STATE_DIR": str(self.state),
        }

    def close_door(self) -> subprocess.CompletedProcess[str]:
        """The postStart hook."""
        return subprocess.run(
            self.command("closed"), env=self.environment, capture_output=True, text=True, check=False, timeout=30
        )

    def start(self, *, python: str = sys.executable) -> None:
        """Start the server and wait until it says that it serves, or has ended."""
        seen = len(self.logged("serving"))
        self.process = subprocess.Popen(
            self.command(python=python), env=self.environment, stderr=self.log.open("a"), text=True
        )
        process = self.process
        wait_for(lambda: len(self.logged("serving")) > seen or process.poll() is not None)

    def stop(self, number: int = signal.SIGTERM) -> float:
        """End the server; seconds that it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=10)
        return time.monotonic() - began

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in map(json.loads, lines) if line["event"] == event]

    def tls(self, client: tuple[Path, Path] | None = None, *, source: str = OPERATOR) -> ssl.SSLSocket:
        """A connection as the operator makes it: our CA, the agent's name checked, a client certificate."""
        context = ssl.create_default_context(cafile=str(self.secret / "ca.crt"))
        context.load_cert_chain(*(client or self.operator))
        return context.wrap_socket(
            self.outside.connect((self.ip, 8470), source=source, timeout=10), server_hostname=self.dns
        )

    def request(self, method: str, path: str, body: bytes | str | None = None) -> Answer:
        connection = http.client.HTTPConnection(self.ip)
        connection.sock = self.tls()
        try:
            connection.request(method, path, body=body)
            response = connection.getresponse()
            return Answer(response.status, json.loads(response.read()))
        finally:
            connection.close()

    def push(self, generation: int, *rules: tuple[str, str], keys: list[str] | None = None, **kind: Any) -> Answer:
        """Compile rules and push them, as the operator does."""
        epoch = kind.get("epoch", EPOCH)
        ruleset = compile_ruleset(
            [Rule.parse(*rule) for rule in rules],
            epoch=epoch,
            generation=generation,
            operator_sources=[parse_source(a) for a in (OPERATOR, OPERATOR6)] if kind.get("path_check", True) else [],
        )
        body = {"epoch": epoch, "generation": generation, "ruleset": ruleset, "authorizedKeys": keys or []}
        return self.request("PUT", "/v1/state", json.dumps({**body, "notice": kind.get("notice", "")}))

    def table(self) -> str:
        return self.inside.sh("nft", "list", "table", "inet", "berth", check=False)

    def keys(self) -> str:
        return (self.run / "authorized_keys").read_text()

    def remove(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop(signal.SIGKILL)
        self.inside.remove()
        self.outside.remove()


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Until the condition holds; AssertionError when it does not in time."""
    until = time.monotonic() + seconds
    tick = threading.Event()
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        tick.wait(0.01)


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    """A pod before anything has started in it."""
    made = Pod(tmp_path)
    yield made
    made.remove()


@pytest.fixture
def served(pod: Pod) -> Pod:
    """A pod with its door closed and its agent serving."""
    done = pod.close_door()
    assert done.returncode == 0, done.stderr
    pod.start()
    return pod


@pytest.fixture(name="issue")
def issue_fixture() -> Callable[..., Identity]:
    """Makes certificates."""
    return issue
