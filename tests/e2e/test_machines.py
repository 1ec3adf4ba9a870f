"""Robots at addresses: which packets reach them, from where, and when; and which of theirs reach workspaces.

The table has a row for each place to try from, each way to a robot, and each moment. More places, ways and moments are
more entries of WHO, WAYS and Stage: `expected` says for all of them who gets where.
"""

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final

import pytest
from knocking import inside
from lab import NAMESPACE, Lab, Person
from places import neighbours, netns_by_address
from promised import is_exact
from robots import (
    INBOUND,
    LENT,
    PORT,
    ROBOTS,
    ROBOTS_ARE,
    WAYS,
    Way,
    builder,
    hooked,
    lent,
    listener,
    machine,
    robots,
    says_no_more,
    stands,
    tried_from,
)
from stranger import Stranger

from berth_core import names
from berth_dev.cluster.network import NODES, OUTSIDE

pytestmark = pytest.mark.nodes

WHEN: Final = ("before", "in", "changed", "after")
"""Ada's lease of the robot ``left``, whose deployment names ``spare`` meanwhile. Bob has ``right`` all the time."""
WHEN_PODS_ARE_MADE: Final = WHEN if is_exact() else ("in",)
"""Moments at which a build and a hook try: each is a pod that the cluster starts for it."""


@pytest.fixture(scope="module", autouse=True)
def ground(lab: Lab) -> Iterator[None]:
    """Robots, and deployments that lend them."""
    with robots(), lent(lab):
        yield


@dataclass
class Stage:
    """The lab at one moment."""

    lab: Lab
    bob: str
    roamer: str
    plain: dict[str, str]
    """Addresses of pods that are not Berth's, by node."""
    build: Callable[[], set[Way]]
    """Runs a build that tries to reach the robots, and returns which it has reached."""
    hook: Callable[[], set[Way]]
    """Runs a hook that tries that in its very first instruction, by one way to each robot."""
    ada: str = ""
    """Id of ada's instance; of an earlier moment, when it has ended."""

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


LEFT, RIGHT, HOOK, PLAIN = "holder of left", "holder of right", "hook of another type", "pod that is not Berth's"
WHO: Final[dict[str, tuple[tuple[str, ...], Callable[[Stage], set[Way]]]]] = {
    LEFT: (("in", "changed"), lambda stage: tried_from(stage.pod_of(stage.ada))),
    RIGHT: (WHEN, lambda stage: tried_from(stage.pod_of(stage.bob))),
    "holder of a type that names the robots' network": (WHEN, lambda stage: tried_from(stage.pod_of(stage.roamer))),
    "warm pod of left": (("before", "after"), lambda stage: tried_from(stage.warm_pod("left"))),
    "build, in the first instruction of its script": (WHEN_PODS_ARE_MADE, lambda stage: stage.build()),
    HOOK: (WHEN_PODS_ARE_MADE, lambda stage: stage.hook()),
    f"{PLAIN}, on the node of left": (WHEN, lambda stage: tried_from(stage.plain[NODES[0].name])),
    f"{PLAIN}, on that of right": (WHEN, lambda stage: tried_from(stage.plain[NODES[1].name])),
}
"""Places to try from: the moments at which there is such a place, and how to try."""
Cell = tuple[str, Way, str]


def expected(who: str, way: Way) -> bool:
    """Whether packets get there. That a plain pod's do proves that silence elsewhere is a wall."""
    own = {LEFT: ROBOTS["left"], RIGHT: ROBOTS["right"]}.get(who)
    return who.startswith(PLAIN) or (way.address == own and way.port == PORT)


def ways(who: str) -> list[Way]:
    """Ways that are tried from a place."""
    return [way for way in WAYS if who != HOOK or (way.protocol, way.port) == ("TCP", PORT)]


CELLS: Final[list[Cell]] = [
    (who, way, when) for who, (moments, _) in WHO.items() for way in ways(who) for when in moments
]


def stands_for(lab: Lab, robot: str) -> None:
    """Let the deployment ``left`` name a robot."""
    change = json.dumps({"spec": {"machine": machine(ROBOTS[robot])}})
    lab.kubectl("patch", "wd/left", "-n", NAMESPACE, "--type=merge", "-p", change)


def tried(stage: Stage, when: str) -> dict[Cell, bool]:
    """Try from all places of a moment at once."""
    with ThreadPoolExecutor() as pool:
        tries = {who: pool.submit(do, stage) for who, (moments, do) in WHO.items() if when in moments}
        return {(who, way, when): way in done.result() for who, done in tries.items() for way in ways(who)}


def test_a_robot_is_reached_by_its_lease_only_and_while_that_lasts(lab: Lab, ada: Person, bob: Person) -> None:
    assert len(CELLS) >= (200 if is_exact() else 150)
    found: dict[Cell, bool] = {}
    with ExitStack() as stack:
        plain, build = stack.enter_context(neighbours(lab)), stack.enter_context(builder(lab))
        hook, robot = stack.enter_context(hooked(lab, bob)), stack.enter_context(listener(ROBOTS["left"]))
        ids = {name: str(lab.get("wd", name)["status"]["id"]) for name in LENT}
        stage = Stage(lab, bob.takes(ids["right"]), bob.takes("roamer"), plain, build, hook)
        for when in WHEN:
            if when == "in":
                stage.ada = ada.takes(ids["left"])
                peer = stands(ada, stage.ada, robot)
                assert "opens these endpoints, and no other machine" in lab.berth("machine", "check", "left")
            elif when == "changed":
                stands_for(lab, "spare")
                stack.callback(stands_for, lab, "left")
            elif when == "after":
                ada.ends(stage.ada)
                says_no_more(peer)
            found |= tried(stage, when)
        for instance in (stage.bob, stage.roamer):
            bob.ends(instance)
    assert found == {cell: expected(cell[0], cell[1]) for cell in CELLS}


@pytest.mark.release(twin="tests/envtest/agent/test_machines.py")
def test_of_a_syn_every_5_ms_none_gets_to_a_robot_but_in_its_lease(lab: Lab, ada: Person, bob: Person) -> None:
    """From the pod that becomes ada's, from before her lease until it is gone, and from two others all the time."""
    with ExitStack() as stack:
        ids = {name: str(lab.get("wd", name)["status"]["id"]) for name in LENT}
        stage = Stage(lab, bob.takes(ids["right"]), bob.takes("roamer"), {}, set, set)
        warm = stage.warm_pod("left")
        (pod,) = (one["metadata"]["name"] for one in lab.objects("pods") if one["status"].get("podIP") == warm)
        at = [str(lab.kubectl_program), f"--kubeconfig={lab.kubeconfig}", "exec", "-i", pod, "-n", NAMESPACE]
        own = stack.enter_context(Stranger([*at, "-c", names.WORKSPACE_CONTAINER, "--", "python3", "-c"]))
        by_address = netns_by_address()
        theirs = [by_address[stage.pod_of(one)] for one in (stage.bob, stage.roamer)]
        others = [stack.enter_context(Stranger(where)) for where in theirs]
        for prober in (own, *others):
            prober.tries(ROBOTS["left"], PORT)
        asked = time.monotonic()
        stage.ada = ada.takes(ids["left"])
        ready = time.monotonic()
        assert stage.pod_of(stage.ada) == warm, "she has the pod that was warm"
        ada.ends(stage.ada)
        ended = time.monotonic()
        stage.warm_pod("left")
        got_in, rest = own.died(), [prober.gives_up() for prober in others]
        for instance in (stage.bob, stage.roamer):
            bob.ends(instance)
    assert asked < min(got_in) < ready + 1, (asked, got_in[0], ready)
    assert max(got_in) < ended, (got_in[-1], ended)
    assert [(times, count > 200) for times, count, _ in rest] == [([], True)] * 2


ANSWERS: Final = f"""
import select, socket
tcp, udp = socket.create_server(("", {INBOUND})), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", {INBOUND}))
while True:
    for sock in select.select([tcp, udp], [], [])[0]:
        if sock is udp:
            word, peer = sock.recvfrom(99)
            sock.sendto(b"user " + word, peer)
        else:
            peer, _ = sock.accept()
            peer.sendall(b"user " + peer.recv(99))
            peer.close()
"""


def comes_in(lab: Lab, source: str, where: str, *, seconds: float) -> dict[str, bytes]:
    """Answers of workspaces to an address outside of the cluster, at the robot's Service, by protocol."""
    (service,) = (one for one in lab.objects("services") if one["metadata"]["name"] == where)
    answers: dict[str, bytes] = {}
    until = time.monotonic() + seconds
    while len(answers) < 2 and time.monotonic() < until:
        for port in service["spec"]["ports"]:
            kind = socket.SOCK_STREAM if port["protocol"] == "TCP" else socket.SOCK_DGRAM
            with inside(ROBOTS_ARE, partial(socket.socket, socket.AF_INET, kind)) as sock:
                sock.settimeout(1)
                sock.bind((source, 0))
                try:
                    sock.connect((NODES[0].address, port["nodePort"]))
                    sock.sendall(b"scan")
                    answers[port["protocol"]] = sock.recv(99)
                except OSError:
                    continue  # not yet, or never
    return answers


@pytest.mark.release(twin="tests/envtest/operator/test_inbound.py")
def test_the_robot_reaches_the_workspace_of_each_lease_at_one_address_and_nobody_else_does(
    lab: Lab, ada: Person, bob: Person
) -> None:
    deployment = str(lab.get("wd", "left")["status"]["id"])
    where = names.inbound_object(deployment)
    lab.wait("wd/left", "condition=Inbound", seconds=30)
    seen = {}
    for person in (ada, bob):
        assert comes_in(lab, ROBOTS["left"], where, seconds=2) == {}, "nobody has it"
        instance = person.takes(deployment)
        info = person.asks("GET", f"/instance/{instance}").json
        program = ANSWERS.replace("user", person.name)
        started = person.ssh(info, f"setsid python3 -c '{program}' >/dev/null 2>&1 </dev/null &")
        assert started.returncode == 0, started.stderr
        seen[person.name] = comes_in(lab, ROBOTS["left"], where, seconds=30)
        for other in (ROBOTS["right"], OUTSIDE[2].address):
            assert comes_in(lab, other, where, seconds=2) == {}, "only the machine of the lease comes in"
        person.ends(instance)
    assert seen == {
        name: {protocol: f"{name} scan".encode() for protocol in ("TCP", "UDP")} for name in (ada.name, bob.name)
    }
