"""Robots at addresses: which packets reach them, from where, and when.

The table has a row for each place to try from, each robot, and each moment. More places, robots and moments are more
entries of WHO, ROBOTS and Lent: `expected` says for all of them who gets where.
"""

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
from builds import Builds, recipe
from echoing import Echo
from gitserver import serving
from knocking import inside
from lab import NAMESPACE, Lab, Person
from places import IMAGE, more_addresses, neighbours, netns_by_address, networks_of_machines, routes

from berth_core import names
from berth_dev.cluster.network import NETNS_FOLDER, NETWORK, OUTSIDE, Machine

pytestmark = pytest.mark.nodes

GROUND: Final = f"{NETWORK[192]}/28"
"""Where robots stand (``instances.machineCidrs``)."""
ROBOTS: Final = {"left": str(NETWORK[200]), "right": str(NETWORK[201])}
"""Robots by their deployments: both are of one type."""
PORT, STANDING = 8080, 8081
TRIED: Final = 40
"""Exit code of a hook that has reached no robot; any other than 0 ends the instance, whose message has it."""
"""An echo, and the port where this test watches a connection that stays."""
WHEN: Final = ("before", "in", "after")
"""The lease of the robot ``left``, which ada has; bob has ``right`` all the time."""
TEMPLATE: Final = {"image": IMAGE, "imagePullPolicy": "IfNotPresent"}
TRY: Final = 'for t in {}; do (timeout 2 bash -c "</dev/tcp/$t/{}" 2>/dev/null && echo $t) & done; wait'
PYTHON_TRY: Final = (
    "import socket\n"
    "for t in {!r}:\n"
    "    s = socket.socket(); s.settimeout(2)\n"
    "    print('reached' if s.connect_ex((t, {})) == 0 else 'missed', t)"
)


@dataclass
class Stage:
    """The lab at one moment."""

    lab: Lab
    when: str
    ada: str
    """Id of ada's instance; of an earlier moment, when it has ended."""
    bob: str
    roamer: str
    plain: str
    """Address of a pod that is not Berth's."""
    build: Callable[[], set[str]]
    """Runs a build that tries to reach the robots, and returns which it has reached."""
    hook: Callable[[], set[str]]
    """Runs a hook that tries that in its very first instruction, and returns the same."""

    def pod_of(self, instance: str) -> str:
        """Address of an instance's pod, warm or not."""
        uid = self.lab.get("instance", instance)["status"]["podUid"]
        (pod,) = (pod for pod in self.lab.objects("pods") if pod["metadata"]["uid"] == uid)
        return str(pod["status"]["podIP"])

    def warm_pod(self, deployment: str) -> str:
        """Address of the pod that is kept warm for a deployment's next lease, once all of it runs."""
        status = self.lab.get("wd", deployment)["status"]
        name = names.warm_object(status["id"], status.get("epoch", 0) + 1)
        self.lab.wait(f"pod/{name}", "create", seconds=60)
        self.lab.wait(f"pod/{name}", "condition=Ready", seconds=60)
        return str(self.lab.get("pod", name)["status"]["podIP"])


def tried_from(address: str) -> set[str]:
    """Robots that a connection from a pod's network reaches."""
    where = netns_by_address()[address]
    command = TRY.format(" ".join(ROBOTS.values()), PORT)
    done = subprocess.run(
        ["nsenter", f"--net={where}", "bash", "-c", command], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


WHO: Final[dict[str, tuple[tuple[str, ...], Callable[[Stage], set[str]]]]] = {
    "holder of left": (("in",), lambda stage: tried_from(stage.pod_of(stage.ada))),
    "holder of right, of the same type": (WHEN, lambda stage: tried_from(stage.pod_of(stage.bob))),
    "holder of another type that names the robots' network": (
        WHEN,
        lambda stage: tried_from(stage.pod_of(stage.roamer)),
    ),
    "warm pod of left": (("before", "after"), lambda stage: tried_from(stage.warm_pod("left"))),
    "build, in the first instruction of its script": (WHEN, lambda stage: stage.build()),
    "hook of another type, in its first instruction": (WHEN, lambda stage: stage.hook()),
    "pod that is not Berth's": (WHEN, lambda stage: tried_from(stage.plain)),
}
"""Places to try from: the moments at which there is such a place, and how to try."""
CELLS: Final = [
    (who, robot, when) for (who, (moments, _)), robot, when in product(WHO.items(), ROBOTS, WHEN) if when in moments
]


def expected(who: str, robot: str, _when: str) -> bool:
    """Whether packets get there. That a plain pod's do proves that silence elsewhere is a wall."""
    return who == "pod that is not Berth's" or who.startswith(f"holder of {robot}")


@contextmanager
def robots() -> Iterator[None]:
    """Something listens at the robots' addresses, outside of the cluster."""
    with more_addresses(OUTSIDE[2], ROBOTS.values()), routes(), Echo(_path(OUTSIDE[2]), PORT):
        yield


@contextmanager
def lent(lab: Lab) -> Iterator[None]:
    """A type with a deployment for each robot, whose pods are kept warm, and another type that names their network."""
    kind: dict[str, Any] = {"typeName": "robot_at_an_address", "template": TEMPLATE, "warm": True}
    objects = [_object("WorkspaceType", "robot-at-an-address", kind)]
    for name, address in ROBOTS.items():
        ports = [{"protocol": "TCP", "port": PORT, "endPort": STANDING}]
        machine = {"network": {"addresses": [f"{address}/32"], "ports": ports}}
        objects.append(_object("WorkspaceDeployment", name, {"type": "robot_at_an_address", "machine": machine}))
    lab.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    network = {"egress": "list", "allowed": [GROUND, str(NETWORK)]}
    roamer = lab.makes_type("roamer", TEMPLATE, network=network)
    try:
        for name in ROBOTS:
            lab.wait(f"wd/{name}", "condition=Available")
        yield
    finally:
        lab.kubectl("delete", "wd", *ROBOTS, roamer, "-n", NAMESPACE)
        lab.kubectl("delete", "wt", "robot-at-an-address", roamer, "-n", NAMESPACE)


@contextmanager
def builder(lab: Lab) -> Iterator[Callable[[], set[str]]]:
    """Runs builds whose scripts try the robots."""
    program = PYTHON_TRY.format(sorted(ROBOTS.values()), PORT)
    with serving(OUTSIDE[1]) as server:
        repository = server.repository("tries")
        repository.commit(recipe("python3 try.py") | {"try.py": program})
        builds = Builds(lab)
        project = builds.project(server.http("tries"))

        def run() -> set[str]:
            log = builds.log(builds.ended(builds.start(project)))
            tries = [line.split() for line in log.splitlines() if line.startswith(("reached ", "missed "))]
            assert len(tries) == len(ROBOTS), log
            return {address for word, address in tries if word == "reached"}

        yield run


@contextmanager
def hooked(lab: Lab, person: Person) -> Iterator[Callable[[], set[str]]]:
    """Runs a hook that tries the robots before it does anything else; its exit code says which it has reached."""
    addresses = sorted(ROBOTS.values())
    bits = " ".join(f"{address}:{1 << number}" for number, address in enumerate(addresses))
    script = (
        f'for t in {bits}; do (timeout 2 bash -c "</dev/tcp/${{t%:*}}/{PORT}" 2>/dev/null; exit $?) &'
        ' jobs="$jobs $!:${t#*:}"; done;'
        f" sum={TRIED}; for j in $jobs; do wait ${{j%:*}} && sum=$((sum + ${{j#*:}})); done; exit $sum"
    )
    prepare = {"command": ["bash", "-c", script], "timeout": 60}
    network = {"egress": "list", "allowed": [GROUND, str(NETWORK)]}
    name = lab.makes_type("eager", TEMPLATE, network=network, hooks={"prepare": prepare})

    def run() -> set[str]:
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
        return {address for number, address in enumerate(addresses) if reached >> number & 1}

    try:
        yield run
    finally:
        lab.kubectl("delete", "wd,wt", name, "-n", NAMESPACE, "--timeout=60s")


def test_a_robot_is_reached_by_its_lease_only_and_while_that_lasts(lab: Lab, ada: Person, bob: Person) -> None:
    found: dict[tuple[str, str, str], bool] = {}
    with (
        robots(),
        networks_of_machines(lab, [GROUND]),
        lent(lab),
        neighbours(lab) as plain,
        builder(lab) as build,
        hooked(lab, bob) as hook,
    ):
        ids = {name: str(lab.get("wd", name)["status"]["id"]) for name in ROBOTS}
        theirs, roamer = bob.takes(ids["right"]), bob.takes("roamer")
        stage = Stage(lab, "", "", theirs, roamer, next(iter(plain.values())), build, hook)
        with listener(ROBOTS["left"]) as robot:
            for when in WHEN:
                stage.when = when
                if when == "in":
                    stage.ada = ada.takes(ids["left"])
                    peer = stands(lab, ada, stage.ada, robot)
                    assert "opens these endpoints, and no other machine" in lab.berth("machine", "check", "left")
                elif when == "after":
                    ada.ends(stage.ada)
                    says_no_more(peer)
                for who, (moments, tries) in WHO.items():
                    if when in moments:
                        reached = tries(stage)
                        found |= {(who, name, when): address in reached for name, address in ROBOTS.items()}
        for instance in (theirs, roamer):
            bob.ends(instance)
    assert found == {cell: expected(*cell) for cell in CELLS}


@contextmanager
def listener(address: str) -> Iterator[socket.socket]:
    """A robot's port at which this test sees connections as the robot does."""
    with inside(_path(OUTSIDE[2]), lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, STANDING))
        sock.listen()
        sock.settimeout(15)
        yield sock


def stands(lab: Lab, person: Person, instance: str, robot: socket.socket) -> socket.socket:
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


def _path(machine: Machine) -> Path:
    return NETNS_FOLDER / machine.namespace
