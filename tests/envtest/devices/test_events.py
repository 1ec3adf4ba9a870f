"""Events of the kernel and of udev, at the netlink boundary.

No USB hardware is there. Messages of udev are constructed and sent over a real netlink socket to the real libudev,
in a network namespace of their own, beside a played /sys. The kernel's own messages are real: it sends one for each
``change`` that is written to a device's ``uevent`` file.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from berth_devices.discovery.watching import Uevents

HERE = Path(__file__).parent
SUPPORT = HERE.parents[1] / "support"
TERMINAL = Path("/sys/class/tty/tty0/uevent")
LISTEN = """
import asyncio, sys
from berth_devices.discovery.watching import Uevents

async def main():
    uevents = Uevents()
    with uevents.listening():
        print("listening", flush=True)
        print(await uevents.wait(20), flush=True)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Devices after each step, by the step's name."""
    folder = str(tmp_path_factory.mktemp("plugging"))
    command = ["unshare", "--mount", "--net", sys.executable, str(HERE / "plugging.py"), folder]
    # libudev takes a played /sys for a real one only where this says so.
    environment = {**os.environ, "SYSTEMD_DEVICE_VERIFY_SYSFS": "0", "PYTHONPATH": str(SUPPORT)}
    played = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert played.returncode == 0, played.stdout + played.stderr
    assert "lost events of the kernel" in played.stdout
    lines = [json.loads(line) for line in played.stdout.splitlines() if line.startswith('{"step"')]
    return {line["step"]: line["devices"] for line in lines}


def test_a_device_that_is_plugged_in_is_heard_and_named_after_its_serial_number(steps: dict[str, Any]) -> None:
    ((name, (node, present, attributes)),) = steps["plugged"].items()
    assert name.startswith("serial-a7-")
    assert (node, present) == ("/dev/ttyUSB0", True)
    assert attributes == {
        "vendor": "0403",
        "product": "6001",
        "serial": "A7",
        "path": "/dev/ttyUSB0",
        "subsystem": "tty",
        "kind": "serial",
    }


def test_an_unplugged_device_is_remembered_and_the_other_stays(steps: dict[str, Any]) -> None:
    (arm,) = steps["plugged"]
    (camera,) = steps["beside"].keys() - {arm}
    assert steps["beside"][camera][2]["kind"] == "camera"
    assert [steps["unplugged"][name][1] for name in (arm, camera)] == [False, True]


def test_a_device_that_returns_at_another_port_and_node_has_its_name(steps: dict[str, Any]) -> None:
    (arm,) = steps["plugged"]
    assert steps["returned"][arm][:2] == ["/dev/ttyUSB1", True]
    assert steps["returned"].keys() == steps["beside"].keys()


def test_lost_events_lose_no_change(steps: dict[str, Any]) -> None:
    (camera,) = steps["beside"].keys() - steps["plugged"].keys()
    assert steps["flooded"][camera][1] is False


def test_an_event_of_a_device_that_is_not_there_changes_nothing(steps: dict[str, Any]) -> None:
    assert steps["nonsense"] == steps["flooded"]


def change_terminal() -> None:
    """Have the kernel tell of a terminal."""
    TERMINAL.write_text("change")


async def test_the_kernels_own_events_are_heard() -> None:
    uevents = Uevents()
    with uevents.listening():
        assert not await uevents.wait(0.2)
        change_terminal()
        assert await uevents.wait(20)


def test_they_are_heard_in_another_network_namespace_as_in_a_pod() -> None:
    command = ["unshare", "--net", sys.executable, "-c", LISTEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "listening\n"
        change_terminal()
        assert listener.stdout.readline() == "True\n"
