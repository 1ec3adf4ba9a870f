"""The robot of the tour: a process on real sockets, and the objects by which it is lent."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from berth_core.machines.placement import Grounds
from berth_core.resources import WorkspaceDeployment, WorkspaceType
from berth_dev.cluster.network import NODES, OUTSIDE, ROBOT, ROBOTS
from berth_dev.demo import axis
from berth_dev.demo.robot import HELP, LONGEST_LINE
from berth_dev.ports import free_port

HOST = "127.0.0.1"


@pytest.fixture
def robot(tmp_path: Path) -> Iterator[tuple[int, axis.Robot]]:
    """The process, its port, and what its log says."""
    port, log = free_port(), tmp_path / "robot.log"
    with (
        log.open("wb") as output,
        subprocess.Popen([sys.executable, "-m", "berth_dev.demo.robot", HOST, str(port)], stdout=output) as process,
    ):
        try:
            yield port, axis.Robot("an id", log)
        finally:
            process.terminate()


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """A connection, once the process listens."""
    until = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection((HOST, port), timeout=20) as sock:
                yield sock
                return
        except ConnectionRefusedError:
            assert time.monotonic() < until, "the robot never listened"
            time.sleep(0.05)


def says(sock: socket.socket, line: str) -> str:
    sock.sendall(line.encode() + b"\n")
    return sock.makefile().readline().rstrip("\n")


def test_it_moves_as_it_is_told_and_logs_each_command_with_its_sender(robot: tuple[int, axis.Robot]) -> None:
    port, seen = robot
    with connected(port) as one, connected(port) as other:
        assert says(one, "move 10") == "at 10 mm"
        assert says(other, "where") == "at 10 mm"
        assert says(other, "move -4") == "at 6 mm"
    assert [command.words for command in seen.commands()] == ["move 10", "where", "move -4"]
    assert seen.commands()[0].text == f"command from {HOST}: 'move 10': at 10 mm"


def test_a_wrong_command_moves_nothing(robot: tuple[int, axis.Robot]) -> None:
    with connected(robot[0]) as sock:
        assert says(sock, "move 401").startswith("error: 401 mm is past the end")
        assert says(sock, "move -1").startswith("error: -1 mm")
        for line in ("", "move", "move ten", "move 10 20", "move 10000000", "fly"):
            assert says(sock, line) == HELP
        assert says(sock, "where") == "at 0 mm"


def test_a_line_without_end_ends_the_connection_and_a_probe_is_no_command(robot: tuple[int, axis.Robot]) -> None:
    port, seen = robot
    with connected(port) as sock:
        sock.sendall(b"m" * LONGEST_LINE)
        assert sock.recv(1) == b""
    with connected(port):
        pass
    with connected(port) as sock:
        assert says(sock, "where") == "at 0 mm"
    assert [command.words for command in seen.commands()] == ["where"]


def test_its_deployment_names_its_port_alone_and_an_address_where_machines_stand() -> None:
    kind, deployment = axis.objects()
    assert WorkspaceType.parse(kind).spec.type_name == axis.TYPE
    wd = WorkspaceDeployment.parse(deployment)
    assert wd.spec.health is not None
    assert wd.network is not None
    reached = wd.network.reached()
    assert [str(one) for one in reached.networks] == [f"{ROBOT.address}/32"]
    assert {(one.first, one.last) for one in reached.ports} == {(axis.PORT, axis.PORT)} == {(wd.spec.health.tcp,) * 2}
    assert Grounds(machines=(ROBOTS,)).fault(wd.network) is None


def test_no_node_and_no_visitor_stands_where_machines_stand() -> None:
    assert not any(ip_address(machine.address) in ROBOTS for machine in (*NODES, *OUTSIDE))
