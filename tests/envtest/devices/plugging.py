"""Plays pluggings in a process with mount and network namespaces of its own, and prints what the driver makes of them.

Each line is a JSON object: ``step``, and ``devices`` by their names, each with node, presence and attributes.
"""

import asyncio
import json
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

from sysfs import Stick, Udev, begin, plug, unplug

from berth_devices.claims.disk import Disk
from berth_devices.discovery.facts import Rule
from berth_devices.discovery.kernel import Kernel
from berth_devices.discovery.watching import Uevents
from berth_devices.stock import Stock

ARM = Stick(1, "0403", "6001", "A7", "tty", "ttyUSB0", (188, 0))
CAMERA = Stick(2, "046d", "0825", "", "video4linux", "video0", (81, 0), index="0")
ARM_AGAIN = replace(ARM, port=3, node="ttyUSB1", number=(188, 1))
RULES = (Rule("tty"), Rule("video4linux"))
WAIT_SECONDS = 60
FLOOD = 500


async def play(folder: Path) -> None:
    begin()
    stock = Stock(Kernel((), Path("/dev")).snapshot, RULES, Disk(folder / "state", folder / "cdi"))
    uevents, udev = Uevents("udev"), Udev()

    async def seen(step: str) -> None:
        """Look once an event was heard: there is no other reason to look here."""
        if not await uevents.wait(WAIT_SECONDS):
            raise TimeoutError(f"heard nothing of {step}")
        await stock.look()
        shown = {one.name: [one.node, one.present, one.attributes] for one in stock.devices}
        sys.stdout.write(json.dumps({"step": step, "devices": shown}) + "\n")

    with uevents.listening():
        await stock.look()
        plug(ARM)
        udev.tell("add", ARM)
        await seen("plugged")
        plug(CAMERA)
        udev.tell("add", CAMERA)
        await seen("beside")
        unplug(ARM)
        udev.tell("remove", ARM)
        await seen("unplugged")
        plug(ARM_AGAIN)
        udev.tell("add", ARM_AGAIN)
        await seen("returned")
        # More messages than the socket's buffer holds, and then a change of which no message tells.
        narrow(uevents)
        for _ in range(FLOOD):
            udev.tell("change", CAMERA)
        unplug(CAMERA)
        await seen("flooded")
        udev.send("tty", b"ACTION=add\0DEVPATH=/devices/nowhere\0SUBSYSTEM=tty\0SEQNUM=1\0")
        udev.send("tty", b"nonsense")
        udev.tell("change", ARM_AGAIN)
        await seen("nonsense")


def narrow(uevents: Uevents) -> None:
    """Give the socket the least buffer: libudev gives it 128 MiB where it may, which a pod may not."""
    with socket.socket(fileno=os.dup(uevents._monitor.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)


if __name__ == "__main__":
    asyncio.run(play(Path(sys.argv[1])))
