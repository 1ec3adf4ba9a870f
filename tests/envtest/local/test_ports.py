"""Ports for what is started on this machine: by several processes at once, none is given twice."""

import socket
import subprocess
import sys
import uuid
from contextlib import ExitStack

import pytest

from berth_dev.ports import COUNT, FIRST, claimed, closed_port

TAKE = "from berth_dev.ports import free_port; print(*(free_port() for _ in range(50)), flush=True); input()"


def test_what_several_processes_are_given_is_free_and_theirs_alone() -> None:
    takers = [
        subprocess.Popen([sys.executable, "-c", TAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    try:
        given = [int(port) for taker in takers if taker.stdout for port in taker.stdout.readline().split()]
    finally:
        for taker in takers:
            taker.communicate("\n", timeout=30)
    assert len(given) == len(set(given)) == 200
    assert all(FIRST <= port < FIRST + COUNT for port in given)


def test_a_closed_port_refuses_and_nobody_else_can_take_it() -> None:
    with closed_port() as port:
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=5)
        for address in ("127.0.0.1", ""):
            with pytest.raises(OSError, match="in use"):
                socket.create_server((address, port))


def test_a_number_is_one_blocks_alone_and_free_after_it() -> None:
    kind = f"test-{uuid.uuid4()}"
    with ExitStack() as stack:
        assert {stack.enter_context(claimed(kind, 5)) for _ in range(5)} == set(range(5))
        code = f"from berth_dev.ports import claimed; claimed({kind!r}, 5).__enter__()"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert "are taken" in other.stderr
    with claimed(kind, 5) as number:
        assert number in range(5)
