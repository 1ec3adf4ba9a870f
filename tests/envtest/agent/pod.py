"""A pod's network as the agent sees it: two network namespaces on a veth pair, made and removed by each test.

Addresses are from the benchmarking range 198.18.0.0/15 and the documentation range 2001:db8::/32.
"""

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import serialization

from berth_core import names
from berth_core.firewall import Rule, closed_ruleset, compile_ruleset, parse_source
from berth_operator.instances.manifests.pod import CLOSED

from .certificates import issue
from .netns import NetNS

ROOT = Path(__file__).parents[3]
EPOCH = 3
INSTANCE = "0190a0b0-0000-7000-8000-000000000001"
OPERATOR, OPERATOR6 = "198.18.200.9", "2001:db8:200::9"


class Answer(NamedTuple):
    status: int
    fields: dict[str, Any]


class Pod:
    """One instance's pod: its network namespace, its agent's files and process, and the world outside."""

    ip, ip6 = "198.18.200.2", "2001:db8:200::2"

    def __init__(self, folder: Path) -> None:
        name = uuid.uuid4()
        self.inside, self.outside = NetNS(f"berth-pod-{name}"), NetNS(f"berth-out-{name}")
        self.secret, self.run, self.state = folder / "secret", folder / "run", folder / "state"
        self.folder = folder
        for path in (self.secret, self.run, self.state):
            path.mkdir()
        self.ca = issue("Berth agents CA")
        self.dns = names.agent_dns(names.instance_object(INSTANCE), EPOCH)
        issue(self.dns, self.ca).files(self.secret, "tls")
        (self.secret / "ca.crt").write_bytes(self.ca.certificate.public_bytes(serialization.Encoding.PEM))
        self.operator = issue(names.OPERATOR_DNS, self.ca, client=True).files(folder, "operator")
        self.write_initial(EPOCH, closed_ruleset(EPOCH), ["ssh-ed25519 AAAAinitial holder"])
        self.variables: dict[str, str] = {}
        """Of the agent's environment, besides those of its paths."""
        self.vpn = folder / "no-vpn"
        """Folder that the agent shares with the VPN, where there is one."""
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
            wait_for(partial(end.has_carrier, link))

    def write_initial(self, epoch: int, ruleset: str, keys: list[str]) -> None:
        body = {"epoch": epoch, "generation": 0, "ruleset": ruleset, "authorizedKeys": keys, "notice": "Welcome.\n"}
        (self.secret / "initial.json").write_text(json.dumps(body))

    def command(self, python: str = sys.executable) -> list[str]:
        """How the agent is started, with the rights that its container has."""
        caps = ["--bounding-set=-all,+net_admin", "--inh-caps=-all,+net_admin"]
        agent = ["setpriv", "--no-new-privs", *caps, python, "-m", "berth_agent"]
        return ["nsenter", f"--net=/run/netns/{self.inside.name}", *agent]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "agent"),
            "BERTH_AGENT_SECRET_DIR": str(self.secret),
            "BERTH_AGENT_RUN_DIR": str(self.run),
            "BERTH_AGENT_STATE_DIR": str(self.state),
            "BERTH_AGENT_VPN_DIR": str(self.vpn),
            **self.variables,
        }

    def waits(self) -> "subprocess.Popen[bytes]":
        """The postStart hook, after which the workspace starts."""
        return subprocess.Popen(["sh", "-c", CLOSED.replace("/var/lib/berth-agent", str(self.state))])

    def close_door(self) -> None:
        """Let an agent shut the door and end."""
        self.start()
        assert self.logged("serving"), self.log.read_text()
        self.stop(signal.SIGKILL)

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
        process = running(self)
        began = time.monotonic()
        process.send_signal(number)
        process.wait(timeout=60)
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
        ruleset = self.ruleset(generation, *rules, epoch=epoch, path_check=kind.get("path_check", True))
        body = {"epoch": epoch, "generation": generation, "ruleset": ruleset, "authorizedKeys": keys or []}
        return self.request("PUT", "/v1/state", json.dumps({**body, "notice": kind.get("notice", "")}))

    def ruleset(self, generation: int, *rules: tuple[str, str], epoch: int = EPOCH, path_check: bool = True) -> str:
        """Compile rules as the operator does."""
        return compile_ruleset(
            [Rule.parse(*rule) for rule in rules],
            epoch=epoch,
            generation=generation,
            operator_sources=[parse_source(a) for a in (OPERATOR, OPERATOR6)] if path_check else [],
        )

    def table(self) -> str:
        return self.inside.sh("nft", "list", "table", "inet", "berth", check=False)

    def keys(self) -> str:
        return (self.run / "authorized_keys").read_text()

    def remove(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop(signal.SIGKILL)
        self.inside.remove()
        self.outside.remove()


def running(pod: Pod) -> subprocess.Popen[str]:
    """The agent's process, which has been started."""
    assert pod.process is not None
    return pod.process


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Until the condition holds; AssertionError when it does not in time."""
    until = time.monotonic() + seconds
    tick = threading.Event()
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        tick.wait(0.01)
