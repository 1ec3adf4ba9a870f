"""Robots at addresses of the lab's network, deployments that lend them, and programs that try to reach them."""

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from typing import Any, Final, NamedTuple

from builds import Builds, recipe
from echoing import Echo
from gitserver import serving
from knocking import inside
from lab import NAMESPACE, Lab, Person
from places import IMAGE, more_addresses, netns_by_address, routes

from berth_dev.cluster.network import NETNS_FOLDER, NETWORK, NODES, OUTSIDE
from berth_dev.cluster.network import ROBOTS as GROUND

ROBOTS: Final = {name: str(GROUND[last]) for last, name in enumerate(("left", "right", "spare"), start=2)}
"""``left`` and ``right`` are lent by deployments of these names and of one type; ``spare`` takes the place of one."""
ROBOTS_ARE: Final = NETNS_FOLDER / OUTSIDE[2].namespace
"""Network namespace outside of the cluster where all robots are."""
LENT: Final = ("left", "right")
PORT, STANDING, SHUT = 8080, 8081, 8082
"""An echo by TCP and UDP, a port where a test watches a connection that stays, and an echo that no lease reaches."""
INBOUND: Final = 7400
"""Port of a workspace to which its robot connects, by TCP and UDP."""
TRIED: Final = 40
"""Exit code of a hook that has reached no robot; any other than 0 ends the instance, whose message has it."""
TEMPLATE: Final = {"image": IMAGE, "imagePullPolicy": "IfNotPresent"}


class Way(NamedTuple):
    """A robot by its address, a protocol and a port."""

    address: str
    protocol: str
    port: int


WAYS: Final = [
    Way(robot, protocol, port) for robot in ROBOTS.values() for protocol in ("TCP", "UDP") for port in (PORT, SHUT)
]
PROGRAM: Final = f"""
import select, socket, time
ways, waiting = {[tuple(way) for way in WAYS]!r}, {{}}
for address, protocol, port in ways:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.connect_ex((address, port))
    waiting[sock] = address, protocol, port
until = time.monotonic() + 2
while waiting and (left := until - time.monotonic()) > 0:
    for sock, way in waiting.items():
        try:
            sock.send(b"ping")
        except OSError:
            pass  # not connected yet, or refused
    for sock in select.select(list(waiting), [], [], min(left, 0.4))[0]:
        try:
            word = sock.recv(9)
        except OSError:
            word = b""
        way = waiting.pop(sock)
        if word:
            print("reached", *way)
print("tried", len(ways))
"""
"""Tries all ways at once for 2 s: a way counts where an echo comes back."""


def tried_from(address: str) -> set[Way]:
    """Ways that are open from a pod's network."""
    where = netns_by_address()[address]
    done = subprocess.run(
        ["nsenter", f"--net={where}", "python3", "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    return told(done.stdout)


def told(printed: str) -> set[Way]:
    """Ways that the program has found open."""
    lines = [line.split() for line in printed.splitlines()]
    assert ["tried", str(len(WAYS))] in lines, printed
    return {Way(words[1], words[2], int(words[3])) for words in lines if words[:1] == ["reached"]}


@contextmanager
def robots() -> Iterator[None]:
    """Something listens at the robots' addresses, outside of the cluster."""
    with ExitStack() as stack:
        stack.enter_context(more_addresses(OUTSIDE[2], ROBOTS.values()))
        stack.enter_context(routes())
        for address, port in product(ROBOTS.values(), (PORT, SHUT)):
            # One for each address: datagrams come back from the address that they were sent to.
            stack.enter_context(Echo(ROBOTS_ARE, port, f"::ffff:{address}"))
        yield


def machine(address: str) -> dict[str, Any]:
    """`spec.machine` of a robot."""
    ports = [
        {"protocol": "TCP", "port": PORT, "endPort": STANDING},
        {"protocol": "UDP", "port": PORT},
    ]
    inbound = [{"protocol": protocol, "port": INBOUND} for protocol in ("TCP", "UDP")]
    return {"network": {"addresses": [f"{address}/32"], "ports": ports, "inbound": inbound}}


@contextmanager
def lent(lab: Lab) -> Iterator[None]:
    """A type with a deployment for each robot, whose pods are kept warm, and another type that names their network."""
    kind: dict[str, Any] = {"typeName": "robot_at_an_address", "template": TEMPLATE, "warm": True}
    objects = [_object("WorkspaceType", "robot-at-an-address", kind)]
    for number, name in enumerate(LENT):
        pinned = {"nodeSelector": {"kubernetes.io/hostname": NODES[number].name}}
        spec = {"type": "robot_at_an_address", "machine": machine(ROBOTS[name]), "overrides": pinned}
        objects.append(_object("WorkspaceDeployment", name, spec))
    lab.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    network = {"egress": "list", "allowed": [str(GROUND), str(NETWORK)]}
    roamer = lab.makes_type("roamer", TEMPLATE, network=network)
    try:
        for name in LENT:
            lab.wait(f"wd/{name}", "condition=Available")
        yield
    finally:
        lab.kubectl("delete", "wd", *LENT, roamer, "-n", NAMESPACE)
        lab.kubectl("delete", "wt", "robot-at-an-address", roamer, "-n", NAMESPACE)


@contextmanager
def builder(lab: Lab) -> Iterator[Callable[[], set[Way]]]:
    """Runs builds whose scripts try the robots."""
    with serving(OUTSIDE[1]) as server:
        repository = server.repository("tries")
        repository.commit(recipe("python3 try.py") | {"try.py": PROGRAM})
        builds = Builds(lab)
        project = builds.project(server.http("tries"))

        def run() -> set[Way]:
            return told(builds.log(builds.ended(builds.start(project))))

        yield run


@contextmanager
def hooked(lab: Lab, person: Person) -> Iterator[Callable[[], set[Way]]]:
    """Runs a hook that tries the robots before it does anything else; its exit code says which it has reached."""
    addresses = sorted(ROBOTS.values())
    bits = " ".join(f"{address}:{1 << number}" for number, address in enumerate(addresses))
    script = (
        f'for t in {bits}; do (timeout 2 bash -c "</dev/tcp/${{t%:*}}/{PORT}" 2>/dev/null; exit $?) &'
        ' jobs="$jobs $!:${t#*:}"; done;'
        f" sum={TRIED}; for j in $jobs; do wait ${{j%:*}} && sum=$((sum + ${{j#*:}})); done; exit $sum"
    )
    prepare = {"command": ["bash", "-c", script], "timeout": 60}
    network = {"egress": "list", "allowed": [str(GROUND), str(NETWORK)]}
    name = lab.makes_type("eager", TEMPLATE, network=network, hooks={"prepare": prepare})

    def run() -> set[Way]:
        lab.wait(f"wd/{name}", "condition=Available")
        made = person.asks("POST", "/new/eager", {"sshkey": person.public_key()})
        assert made.status == 200, made.text
        instance = str(made.json["id"])
        lab.wait(f"instance/{instance}", "condition=Ended", seconds=90)
        message = str(lab.get("instance", instance)["status"]["message"])
        code = re.search(r"exit code (\d+)", message)
        assert code is not None, message
        reached = int(code[1]) - TRIED
        assert 0 <= reached < 1 << len(addresses), message
        return {Way(address, "TCP", PORT) for number, address in enumerate(addresses) if reached >> number & 1}

    try:
        yield run
    finally:
        lab.kubectl("delete", "wd,wt", name, "-n", NAMESPACE, "--timeout=60s")


@contextmanager
def listener(address: str) -> Iterator[socket.socket]:
    """A robot's port at which this test sees connections as the robot does."""
    with inside(ROBOTS_ARE, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, STANDING))
        sock.listen()
        sock.settimeout(15)
        yield sock


def stands(person: Person, instance: str, robot: socket.socket) -> socket.socket:
    """A connection from a workspace to the robot, over which something is sent again and again."""
    info = person.asks("GET", f"/instance/{instance}").json
    host, port = robot.getsockname()
    loop = f"exec 3<>/dev/tcp/{host}/{port}; while echo tick >&3; do sleep 0.1; done"
    done = person.ssh(info, f"setsid bash -c '{loop}' >/dev/null 2>&1 </dev/null &")
    assert done.returncode == 0, done.stderr
    peer, _ = robot.accept()
    peer.settimeout(5)
    assert peer.recv(100).startswith(b"tick")
    return peer


def says_no_more(peer: socket.socket) -> None:
    """The robot hears nothing more over a connection of a lease that has ended; a word came every 0.1 s before."""
    until = time.monotonic() + 3
    with peer:
        peer.settimeout(1)
        try:
            while peer.recv(65536):
                assert time.monotonic() < until, "the connection goes on"
        except (TimeoutError, ConnectionResetError):
            return


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
