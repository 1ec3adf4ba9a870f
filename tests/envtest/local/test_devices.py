"""Devices of the local cluster's nodes: terminals with a robot that answers."""

import os
import select
from pathlib import Path

import pytest

from berth_dev.cluster.devices import Fixed, plug

TRIAL = Fixed("no-node", "trial", "T1")
SECONDS = 10


def answer(path: Path) -> bytes:
    """Say something to a device, as a program does that closes it again, and return what it answers."""
    device = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(device, b"hello\n")
        assert select.select([device], [], [], SECONDS)[0], "no answer"
        return os.read(device, 100)
    finally:
        os.close(device)


def is_gone(device: int) -> bool:
    """Tell whether a terminal hangs up, within some seconds."""
    hangup = select.poll()
    hangup.register(device, 0)
    return bool(hangup.poll(SECONDS * 1000))


def test_a_robot_answers_with_its_serial_number_until_it_is_unplugged() -> None:
    plugged = plug(TRIAL)
    held = os.open(plugged.node, os.O_RDWR | os.O_NOCTTY)
    try:
        assert os.readlink(TRIAL.path) == plugged.node
        assert [answer(TRIAL.path) for _ in range(2)] == [b"T1 hello\n"] * 2
        plugged.unplug()
        assert not TRIAL.path.is_symlink()
        assert is_gone(held), "the robot may outlive socat by a moment, with its other end"
        with pytest.raises(OSError, match="Input/output error"):  # another terminal may have its number already
            os.write(held, b"hello\n")
    finally:
        os.close(held)
        plugged.unplug()
        TRIAL.path.parent.rmdir()
