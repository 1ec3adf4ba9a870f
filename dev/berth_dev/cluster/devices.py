"""Devices of the nodes, for the driver of berth_devices: pseudo terminals with a robot at their other end.

Nodes share the machine's `/dev`, so each node has devices of its own by the list of fixed ones, and a kubelet and CDI
files in its own folder.
"""

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from berth_dev.cluster import network
from berth_dev.errors import ClusterError
from berth_dev.paths import state_dir

FOLDER = Path(f"/dev/{network.PREFIX}-lab")
ROBOT = 'while read -r line; do echo "{serial} $line"; done'
"""It answers each line with its serial number and the line."""
PLUG_SECONDS = 10


@dataclass(frozen=True)
class Fixed:
    """An arm at a node."""

    node: str
    name: str
    serial: str

    @property
    def path(self) -> Path:
        """Link to its terminal, while it is plugged in."""
        return FOLDER / self.node / self.name


FIXED = (Fixed("node-1", "arm", "A7"), Fixed("node-1", "second", "B8"), Fixed("node-2", "arm", "C9"))


def values() -> tuple[str, ...]:
    """Arguments for helm that bring the driver and tell it of these devices, and of no other of the machine."""
    nodes = state_dir() / "nodes" / "$(BERTH_NODE)"
    about = {"vendor": "berth", "product": "lab-arm", "kind": "arm"}
    fixed = [{"path": str(one.path), "serial": one.serial, "node": one.node, **about} for one in FIXED]
    return (
        "--set=devices.enabled=true",
        "--set=devices.image.repository=localhost/berth-devices",
        "--set=devices.rescanSeconds=1",
        f"--set=devices.kubeletDir={nodes / 'kubelet'}",
        f"--set=devices.cdiDir={nodes / 'cdi'}",
        "--set-json=devices.allow=[]",
        f"--set-json=devices.fixed={json.dumps(fixed)}",
    )


@dataclass
class Plugged:
    """A device that is plugged in, until it is unplugged."""

    device: Fixed
    node: str = ""
    """The terminal, such as `/dev/pts/5`."""
    _socat: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    _open: int = -1

    def unplug(self) -> None:
        """Take it away: its link and its terminal go. Idempotent."""
        if self._open >= 0:
            os.close(self._open)
            self._open = -1
        if self._socat is not None:
            self._socat.send_signal(signal.SIGTERM)
            self._socat.wait(timeout=PLUG_SECONDS)
            self._socat = None
        self.device.path.unlink(missing_ok=True)


def plug(device: Fixed) -> Plugged:
    """Plug a device in, by socat with a shell for a robot. Raises ClusterError where it does not come."""
    device.path.parent.mkdir(parents=True, exist_ok=True)
    device.path.unlink(missing_ok=True)
    terminal = f"PTY,link={device.path},raw,echo=0,mode=0666"
    robot = f"SYSTEM:{_escaped(ROBOT.format(serial=device.serial))}"
    plugged = Plugged(device, _socat=subprocess.Popen(["socat", terminal, robot], start_new_session=True))
    deadline = time.monotonic() + PLUG_SECONDS
    while not device.path.is_symlink():
        if time.monotonic() > deadline:
            plugged.unplug()
            raise ClusterError(f"socat made no terminal at {device.path} within {PLUG_SECONDS} s")
        time.sleep(0.05)
    plugged.node = os.path.realpath(device.path)
    # While somebody has it open, socat does not take the end of a reader for the end of the terminal.
    plugged._open = os.open(device.path, os.O_RDWR | os.O_NOCTTY)
    return plugged


def _escaped(command: str) -> str:
    """Return a command so that socat passes it to the shell as it is."""
    return "".join(f"\\{letter}" if letter in '\\":,!' else letter for letter in command)
