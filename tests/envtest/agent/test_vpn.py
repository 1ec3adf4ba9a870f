"""A real OpenVPN server in a pod's network namespace, the agent beside it, and a real client outside."""

import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from promised import promised

from berth_core.firewall import Rule, Tunnel, ruleset_body, stamp
from berth_core.vpn import DEVICE, Authority, Protocol, Remote, profile, server_configuration, static_key
from berth_core.vpn import Tunnel as Vpn
from berth_core.vpn.configuration import RUN_PLACE, SECRET_PLACE
from berth_operator.instances.manifests import vpn as build
from berth_operator.settings.config import VpnSettings

from .netns import NetNS
from .pod import EPOCH, INSTANCE, Answer, Pod, wait_for

NETWORK = IPv4Network("10.92.0.0/24")
INSIDE = str(NETWORK[1])
UP = "Initialization Sequence Completed"


class Server:
    """The VPN of a pod, made as the operator makes it and started as its image does."""

    def __init__(self, pod: Pod, protocol: Protocol) -> None:
        self.pod, self.tunnel = pod, Vpn(protocol, NETWORK, 1194)
        self.now = datetime.now(UTC)
        self.authority, self.static = Authority.of(INSTANCE, EPOCH, self.now), static_key()
        self.keys, self.run = pod.folder / "vpn-keys", Path(tempfile.mkdtemp(prefix="berth-vpn-", dir="/tmp"))
        self.keys.mkdir()
        self.run.chmod(0o777)  # as an emptyDir, which everybody may reach
        server = self.authority.server(self.now)
        configuration = server_configuration(self.tunnel)
        files = {
            "ca.crt": self.authority.pair.certificate,
            "server.crt": server.certificate,
            "server.key": server.key,
            "tls-crypt.key": self.static,
            "crl.pem": self.authority.revoked((), self.now),
            "server.conf": configuration.replace(SECRET_PLACE, str(self.keys)).replace(RUN_PLACE, str(self.run)),
        }
        for name, text in files.items():
            (self.keys / name).write_text(text)
        self.log = pod.folder / "vpn.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *through: str, lacking: str = "") -> None:
        """Start the image's entrypoint with its container's rights, by way of another command where one is given."""
        container = build.container(VpnSettings("berth-vpn:1", self.tunnel))
        rights = [name.lower() for name in container["securityContext"]["capabilities"]["add"] if name != lacking]
        held = ",".join(["-all", *(f"+{name}" for name in rights)])
        entrypoint = Path(__file__).parents[3] / "images" / "vpn" / "entrypoint"
        command = ["nsenter", f"--net=/run/netns/{self.pod.inside.name}", *through]
        command += ["setpriv", "--no-new-privs", f"--bounding-set={held}", "--inh-caps=-all", str(entrypoint)]
        settings = {"BERTH_VPN_SECRET_DIR": str(self.keys), "BERTH_VPN_RUN_DIR": str(self.run)}
        with open(self.log, "wb") as log:
            path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
            self.process = subprocess.Popen(command, env=path | settings, stdout=log, stderr=log)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=60)

    def profile(self, client_id: str, life: timedelta = timedelta(days=1), authority: Authority | None = None) -> str:
        pair = (authority or self.authority).client(client_id, self.now, life)
        remote = Remote(self.pod.ip, 1194)
        own = self.authority.pair.certificate
        return profile(self.tunnel, remote, authority=own, pair=pair, static_key=self.static)

    def refuse(self, *revoked: str, epoch: int = EPOCH) -> Answer:
        crl = self.authority.revoked(revoked, self.now)
        body = {"epoch": epoch, "crl": crl, "revoked": sorted(revoked)}
        return self.pod.request("PUT", "/v1/vpn", json.dumps(body))


class Client:
    """``openvpn --config``, outside."""

    def __init__(self, where: NetNS, text: str, folder: Path) -> None:
        name = uuid.uuid4().hex[:8]
        self.log = folder / f"client-{name}.log"
        config = folder / f"{name}.ovpn"
        config.write_text(text)
        self._command = ["nsenter", f"--net=/run/netns/{where.name}", "openvpn", "--config", str(config)]

    def __enter__(self) -> "Client":
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def is_up(self, seconds: float = 60.0) -> bool:
        """Wait until the tunnel is up; False when it is not in time, or never will be."""
        until = time.monotonic() + seconds
        tick = threading.Event()
        while UP not in self.log.read_text():
            if time.monotonic() > until or self.process.poll() is not None:
                return False
            tick.wait(0.02)
        return True


@pytest.fixture
def vpn_of(pod: Pod) -> Iterator[Any]:
    """Start a VPN and its agent; the rules let the first outside address in."""
    made: list[Server] = []

    def start(protocol: Protocol = Protocol.UDP) -> Server:
        server = Server(pod, protocol)
        made.append(server)
        pod.vpn = server.run
        pod.start()
        let_in(pod, 1, "198.18.200.9")
        server.start()
        assert pod.request("GET", "/v1/vpn?wait=5") == (200, {"ready": True, "problem": ""})
        return server

    yield start
    for server in made:
        server.stop()
        shutil.rmtree(server.run)


def let_in(pod: Pod, generation: int, *sources: str) -> None:
    rules = [Rule.parse(source, "ACCEPT") for source in sources]
    ruleset = stamp(ruleset_body(rules, tunnel=Tunnel(DEVICE, NETWORK)), EPOCH, generation)
    body = {"epoch": EPOCH, "generation": generation, "ruleset": ruleset, "authorizedKeys": [], "notice": ""}
    answer = pod.request("PUT", "/v1/state", json.dumps(body))
    assert answer.status == 200, answer


@contextmanager
def echo(where: NetNS, port: int) -> Iterator[None]:
    """A UDP service on all addresses of a namespace."""
    sock = where.open(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", port))

    def serve() -> None:
        while True:
            content, sender = sock.recvfrom(2000)
            if not content:
                return
            sock.sendto(content, sender)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        with where.open(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", port))
        thread.join(timeout=5)
        sock.close()


def answers(where: NetNS, address: str, port: int, seconds: float = promised(1)) -> bool:
    """Whether a UDP service answers within some seconds."""
    until = time.monotonic() + seconds
    with where.open(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.1)
        while time.monotonic() < until:
            try:
                sock.sendto(b"here?", (address, port))
                return sock.recv(100) == b"here?"
            except OSError:
                continue
    return False


@pytest.mark.alone
@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_client_gets_in_is_cut_when_revoked_and_stays_out(pod: Pod, vpn_of: Any, protocol: Protocol) -> None:
    vpn: Server = vpn_of(protocol)
    one, two = str(uuid.uuid4()), str(uuid.uuid4())
    with Client(pod.outside, vpn.profile(one), pod.folder) as client, echo(pod.inside, 7400):
        assert client.is_up(), client.log.read_text()
        assert answers(pod.outside, INSIDE, 7400)
        assert vpn.refuse(two) == (200, {"epoch": EPOCH, "revoked": 1, "ended": 0})
        assert answers(pod.outside, INSIDE, 7400), "another's revocation must not concern it"
        began = time.monotonic()
        assert vpn.refuse(one, two) == (200, {"epoch": EPOCH, "revoked": 2, "ended": 1})
        assert time.monotonic() - began < promised(1)
        assert not answers(pod.outside, INSIDE, 7400, 0.3)
        # Its own pings would notice too, later than that.
        wait_for(lambda: client.process.poll() is not None or "restarting" in client.log.read_text(), 10)
    with Client(pod.outside, vpn.profile(one), pod.folder) as again:
        wait_for(lambda: "certificate revoked" in vpn.log.read_text())
        assert not again.is_up(1)


def test_the_server_that_reads_packets_is_nobody_and_has_no_capability(pod: Pod, vpn_of: Any) -> None:
    vpn: Server = vpn_of()
    assert vpn.process is not None
    lines = Path(f"/proc/{vpn.process.pid}/status").read_text().splitlines()
    shown = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert shown["Name"] == ["openvpn"]
    assert set(shown["Uid"]) == set(shown["Gid"]) == {"65534"}
    assert [shown[part] for part in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [["0000000000000000"]] * 4
    assert shown["NoNewPrivs"] == ["1"], "dropped privileges cannot be regained"
    with Client(pod.outside, vpn.profile(str(uuid.uuid4())), pod.folder) as client, echo(pod.inside, 7400):
        assert client.is_up(), client.log.read_text()
        assert answers(pod.outside, INSIDE, 7400)


def test_expired_foreign_and_unsigned_profiles_are_refused(pod: Pod, vpn_of: Any) -> None:
    vpn: Server = vpn_of()
    stranger = Authority.of(INSTANCE, EPOCH, vpn.now)
    refused = {
        "certificate has expired": vpn.profile(str(uuid.uuid4()), timedelta(seconds=-30)),
        "unable to get local issuer": vpn.profile(str(uuid.uuid4()), authority=stranger),
        "tls-crypt unwrap error": vpn.profile(str(uuid.uuid4())).replace(vpn.static.strip(), static_key().strip()),
    }
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(pod.outside, text, pod.folder)) for text in refused.values()]
        wait_for(lambda: all(why in vpn.log.read_text() for why in refused))
        assert not any(client.is_up(0.5) for client in clients)


@pytest.mark.alone
def test_the_firewall_decides_about_the_tunnels_port_and_lets_pass_what_is_inside(pod: Pod, vpn_of: Any) -> None:
    vpn: Server = vpn_of()
    with Client(pod.outside, vpn.profile(str(uuid.uuid4())), pod.folder) as client, echo(pod.inside, 7400):
        assert client.is_up()
        assert answers(pod.outside, INSIDE, 7400)
        with pytest.raises(ConnectionRefusedError):  # the agent is not for clients
            pod.outside.connect((INSIDE, 8470))
        let_in(pod, 2)
        assert not answers(pod.outside, INSIDE, 7400, 0.3), "a client that may not come in has no tunnel either"
        let_in(pod, 3, "198.18.200.9")
        assert answers(pod.outside, INSIDE, 7400, 8)


@pytest.mark.alone
def test_what_is_revoked_stays_so_and_other_epochs_are_refused(pod: Pod, vpn_of: Any) -> None:
    vpn: Server = vpn_of()
    one, two = str(uuid.uuid4()), str(uuid.uuid4())
    assert vpn.refuse(one, epoch=EPOCH + 1).status == 403
    assert vpn.refuse(one).status == 200
    before = (vpn.run / "crl.pem").read_text()
    assert vpn.refuse(two).status == 409
    assert vpn.refuse().status == 409
    assert (vpn.run / "crl.pem").read_text() == before
    assert vpn.refuse(one, two).status == 200
    for body in ("", "[]", '{"epoch": 3, "crl": "no", "revoked": []}', '{"epoch": 3, "crl": "", "revoked": ["x"]}'):
        assert pod.request("PUT", "/v1/vpn", body).status == 400


@pytest.mark.alone
def test_where_no_device_can_be_made_the_agent_tells_why(pod: Pod, vpn_of: Any) -> None:
    vpn: Server = vpn_of()
    vpn.stop()
    # As in a container of a runtime that does not let it: an empty folder, and no capability to make devices in it.
    empty = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh"]
    vpn.start(*empty, lacking="MKNOD")
    wait_for((vpn.run / "problem").exists)
    answer = pod.request("GET", "/v1/vpn")
    assert (answer.status, answer.fields["ready"]) == (200, False)
    assert "Operation not permitted" in answer.fields["problem"]
    assert "vpn.tun" in answer.fields["problem"]
    revoked = str(uuid.uuid4())
    assert vpn.refuse(revoked).status == 200, "a client that is revoked meanwhile is refused later"
    vpn.stop()
    vpn.start()
    assert pod.request("GET", "/v1/vpn?wait=5") == (200, {"ready": True, "problem": ""})
    assert not (vpn.run / "problem").exists()
    with Client(pod.outside, vpn.profile(revoked), pod.folder):
        wait_for(lambda: "certificate revoked" in vpn.log.read_text())


def test_an_instance_without_a_vpn_has_none(served: Pod) -> None:
    assert served.request("GET", "/v1/vpn").status == 404
    crl = "-----BEGIN X509 CRL-----\nAA==\n-----END X509 CRL-----\n"
    body = json.dumps({"epoch": EPOCH, "crl": crl, "revoked": []})
    assert served.request("PUT", "/v1/vpn", body).status == 404
