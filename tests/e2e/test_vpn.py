"""VPNs on nodes: a real client at addresses outside of the cluster, from the request to the end of the lease."""

import base64
import shlex
import statistics
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lab import DEPLOYMENT_TYPE, NAMESPACE, Lab, Person
from tunnel import Tunnel

from berth_core.vpn import Authority

TYPE = "tunnelled"
TEMPLATE: dict[str, object] = {"image": "localhost/berth-workspace:dev", "imagePullPolicy": "IfNotPresent"}
SCRIPT = Path(__file__).with_name("echo.py")
INSIDE = "10.92.0.1"
PORT = "7400"
RUNS = 20
AT_ONCE = 8
POURED = 64 * 1024 * 1024


@pytest.fixture(autouse=True)
def _nothing_stays(lab: Lab) -> Iterator[None]:
    """Take the type of this module away again."""
    yield
    for kind in ("wd", "wt"):
        lab.kubectl("delete", kind, TYPE, "-n", NAMESPACE, "--ignore-not-found", "--timeout=60s")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where profiles and logs go."""
    (tmp_path / "tunnels").mkdir()
    return tmp_path / "tunnels"


def takes(person: Person, what: str, *friends: Person) -> tuple[str, Any]:
    """Take an instance with a VPN that serves, and let friends in; its id and what is known of it."""
    instance = person.takes(what, vpn=True)
    person.lab.wait(f"instance/{instance}", "condition=VPNReady")
    for friend in friends:
        assert person.asks("POST", f"/firewall/{instance}", {"src": friend.address()}).status == 200
    return instance, person.asks("GET", f"/instance/{instance}").json


def profile_of(person: Person, instance: str) -> tuple[str, str]:
    """Make a client; its id and its profile."""
    made = person.asks("POST", f"/vpn/{instance}")
    assert made.status == 200, made.text
    return made.json["client_id"], made.json["ovpn"]


def inside(info: Any) -> Any:
    """Say where ssh answers in the tunnel."""
    return info | {"fwd": {"ipv4": INSIDE, "port": 22}}


def here(person: Person, *words: str, deadline: float = 60) -> subprocess.CompletedProcess[str]:
    """Run one of the small clients at somebody's address."""
    return person.run([str(person.lab.python), str(SCRIPT), *words], deadline)


def there(*words: str) -> str:
    """Return the command of a workspace's shell for one of the small services or clients."""
    return shlex.join(["python3", "-c", SCRIPT.read_text(), *words])


@contextmanager
def serving(command: list[str]) -> Iterator[None]:
    """Run a service that says when it serves."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "serving\n"
            yield
        finally:
            process.kill()


def server_says(lab: Lab, instance: str, word: str, seconds: float = 10) -> bool:
    """Wait until the VPN's log has a word."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if word in lab.kubectl("logs", f"i-{instance}", "-c", "vpn", "-n", NAMESPACE):
            return True
    return False


def elsewhere(profile: str, info: str) -> str:
    """Return a profile that asks another server: the remote of another profile."""

    def remote(text: str) -> str:
        return next(line for line in text.splitlines() if line.startswith("remote "))

    return profile.replace(remote(profile), remote(info))


def test_a_profile_opens_the_workspace_to_its_holder_and_revoking_shuts_it(
    lab: Lab, ada: Person, bob: Person, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.makes_type(TYPE, TEMPLATE)
    instance, info = takes(ada, TYPE, bob)
    took = []
    for _ in range(RUNS):
        began = time.monotonic()
        client, profile = profile_of(ada, instance)
        with Tunnel(ada, profile, folder) as tunnel:
            assert tunnel.comes_up(), tunnel.log.read_text()
            took.append(time.monotonic() - began)
        assert ada.asks("DELETE", f"/vpn/{instance}/{client}").status == 200
    assert ada.asks("GET", f"/vpn/{instance}").json == {"status": "ready", "clients": ["workspace"]}

    one, first = profile_of(ada, instance)
    two, second = profile_of(ada, instance)
    assert ada.asks("GET", f"/instance/{instance}").json["vpn"]["clients"] == ["workspace", one, two]
    with Tunnel(ada, first, folder) as mine, Tunnel(bob, second, folder) as theirs:
        assert mine.comes_up(), mine.log.read_text()
        assert theirs.comes_up(), theirs.log.read_text()
        assert ada.ssh(inside(info), "echo", "aboard").stdout == "aboard\n"
        hidden = ada.ssh(inside(info), "ls /run/berth-vpn /etc/berth-vpn").stdout
        assert hidden == "", "the workspace sees neither keys nor the management socket"
        with serving(bob.inside([str(lab.python), str(SCRIPT), "serve", PORT])):
            assert here(ada, "ask", theirs.address, PORT, "5").returncode == 0, "clients see each other"
            answer = ada.ssh(inside(info), there("ask", theirs.address, PORT, "5"))
            assert answer.stdout == "answered\n", "the workspace sees its clients"
        with serving(ada.ssh_command(inside(info), there("pour", "5001", str(POURED)))):
            speed = float(here(ada, "drink", INSIDE, "5001").stdout)
        with serving(ada.ssh_command(inside(info), there("serve", PORT))), ThreadPoolExecutor() as threads:
            assert here(ada, "ask", INSIDE, PORT, "5").returncode == 0
            hearing = threads.submit(here, bob, "hear", INSIDE, PORT, "5")
            assert here(bob, "ask", INSIDE, PORT, "5").returncode == 0
            revoked = time.monotonic()
            assert ada.asks("DELETE", f"/vpn/{instance}/{two}").status == 200
            cut = float(hearing.result().stdout) - revoked
            assert here(ada, "ask", INSIDE, PORT, "5").returncode == 0, "the others stay"
    assert cut <= 2
    with capsys.disabled():
        worst, middle = max(took), statistics.median(took)
        print(f"\nVPN: from POST to the tunnel {middle:.2f} s (p50), {worst:.2f} s (longest of {RUNS});", end=" ")
        print(f"cut {max(cut, 0):.2f} s after the request; {speed * 8 / 1e6:.0f} Mbit/s through one tunnel")
    assert worst <= 4

    with Tunnel(bob, second, folder) as again:
        assert server_says(lab, instance, "certificate revoked")
        assert not again.comes_up(0.5)
    status = lab.get("instance", instance)["status"]
    secret = lab.get("secret", f"i-{instance}-e{status['epoch']}-{status['nonce']}-vpn")
    keys = {name: base64.b64decode(text) for name, text in secret["data"].items()}
    pair = Authority(keys["ca.crt"], keys["ca.key"]).client(one, datetime.now(UTC), timedelta(seconds=-60))
    start, end = second.index("<cert>"), second.index("</key>")
    parts = f"<cert>\n{pair.certificate}</cert>\n<key>\n{pair.key}"
    with Tunnel(bob, second[:start] + parts + second[end:], folder) as expired:
        assert server_says(lab, instance, "certificate has expired")
        assert not expired.comes_up(0.5)

    ada.ends(instance)
    assert lab.leftovers(instance) == []
    assert [c for c in lab.objects("vpnclients") if c["spec"]["instance"] == instance] == []
    assert ada.asks("GET", f"/vpn/{instance}").status == 400


@pytest.mark.release(twin="tests/envtest/agent/test_vpn.py")
def test_eight_at_once_and_no_profile_opens_another_vpn(lab: Lab, ada: Person, bob: Person, folder: Path) -> None:
    lab.makes_type(TYPE, TEMPLATE)
    instance, info = takes(ada, TYPE, bob)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        made = list(threads.map(lambda _: profile_of(ada, instance), range(AT_ONCE)))
    with ExitStack() as stack:
        people = [ada, bob] * (AT_ONCE // 2)
        tunnels = [
            stack.enter_context(Tunnel(person, profile, folder))
            for person, (_, profile) in zip(people, made, strict=True)
        ]
        assert all(tunnel.comes_up(15) for tunnel in tunnels)
        assert len({tunnel.address for tunnel in tunnels}) == AT_ONCE
        stack.enter_context(serving(ada.ssh_command(info, there("serve", PORT))))
        for tunnel in tunnels:
            asked = here(tunnel.person, "ask", INSIDE, PORT, "5", tunnel.device)
            assert asked.returncode == 0, tunnel.log.read_text()
        assert len(ada.asks("GET", f"/vpn/{instance}").json["clients"]) == AT_ONCE + 1

    other, _ = takes(bob, DEPLOYMENT_TYPE, ada)
    _, foreign = profile_of(bob, other)
    with Tunnel(ada, elsewhere(foreign, made[0][1]), folder) as stranger:
        assert server_says(lab, instance, "tls-crypt unwrap error")
        assert not stranger.comes_up(0.5)
    bob.ends(other)

    ada.ends(instance)
    again, now = takes(ada, TYPE)
    _, fresh = profile_of(ada, again)
    with Tunnel(ada, elsewhere(made[0][1], fresh), folder) as replayed:
        assert server_says(lab, again, "tls-crypt unwrap error")
        assert not replayed.comes_up(0.5)
    with Tunnel(ada, fresh, folder) as right:
        assert right.comes_up()
        assert ada.asks("DELETE", f"/firewall/{again}").status == 200
        ada.probe(inside(now), "shut")
    with Tunnel(ada, fresh, folder) as kept_out:
        assert not kept_out.comes_up(2), "the VPN's port obeys the firewall"
    ada.ends(again)
    assert lab.leftovers(again) == []
