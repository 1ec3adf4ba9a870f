"""Removes everything that a cluster of a state folder left on the machine, and nothing else.

It looks at the machine rather than at records, so that it works after a crash at any point as
well as for an ordinary stop.
"""

import os
import re
import shutil
import signal
from pathlib import Path

from berth_dev.cluster import devices, network
from berth_dev.commands import run
from berth_dev.processes import Identity, end, every_pid

SUPERVISOR_GRACE = 40.0
PROCESS_GRACE = 3.0
CONTAINER_LINKS = Path("/var/log/containers")
ESCAPED = re.compile(r"\\([0-7]{3})")


def clear(state: Path, *, keep_logs: bool = False) -> None:
    """End the cluster of `state`, unmount and remove all that belongs to it. Idempotent."""
    if supervisor := Identity.load(state / "supervisor.pid"):
        end([supervisor], grace=SUPERVISOR_GRACE)
    end([process for path in (state / "pids").glob("*") if (process := Identity.load(path))], grace=PROCESS_GRACE)
    _kill(_shims(state))
    _kill(_contained(state))
    _kill([identity for pid in network.pids_inside(state) if (identity := Identity.of(pid))])
    for mount in reversed(_mounts_under(state)):
        run(["umount", "-l", mount], check=False)
    if network.owner() in ("", str(state)):
        _remove_cgroups()
        shutil.rmtree(devices.FOLDER, ignore_errors=True)
    network.remove(state)
    _remove_log_links(state)
    if not state.exists():
        return
    for entry in state.iterdir():
        if keep_logs and entry.name == "logs":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    if not keep_logs:
        state.rmdir()


def _kill(processes: list[Identity]) -> None:
    for process in processes:
        process.send(signal.SIGKILL)
    end(processes, grace=PROCESS_GRACE)


def _shims(state: Path) -> list[Identity]:
    """Containerd's shims: they outlive containerd, and name its socket on their command line."""
    inside = f"{state}{os.sep}".encode()
    processes = []
    for pid in every_pid():
        words = _read(Path(f"/proc/{pid}/cmdline")).split(b"\0")
        if Path(words[0].decode(errors="replace")).name == "containerd-shim-runc-v2" and any(
            word.startswith(inside) for word in words
        ):
            processes.append(Identity.of(pid))
    return [identity for identity in processes if identity]


def _contained(state: Path) -> list[Identity]:
    """Processes whose root is an overlay that lies in the state folder: the containers."""
    needle = f"upperdir={state}{os.sep}".encode()
    processes = []
    for pid in every_pid():
        for line in _read(Path(f"/proc/{pid}/mountinfo")).splitlines():
            fields = line.split()
            if fields[4] == b"/" and needle in line:
                processes.append(Identity.of(pid))
    return [identity for identity in processes if identity]


def _read(path: Path) -> bytes:
    """Content of a file in /proc; empty where the process is gone."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError, OSError):
        return b""


def _mounts_under(state: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    points = [ESCAPED.sub(lambda code: chr(int(code.group(1), 8)), line.split()[4]) for line in lines]
    return [point for point in points if Path(point).is_relative_to(state)]


def _remove_cgroups() -> None:
    """Remove empty cgroups, which stay when no kubelet was there to remove them."""
    for folder in (folder for machine in network.NODES for folder in machine.cgroups if folder.is_dir()):
        # Nested ones first: rmdir removes a cgroup once it has no children.
        for nested in sorted(folder.rglob("*"), reverse=True):
            if nested.is_dir():
                nested.rmdir()
        folder.rmdir()


def _remove_log_links(state: Path) -> None:
    if not CONTAINER_LINKS.is_dir():
        return
    for link in CONTAINER_LINKS.iterdir():
        if link.is_symlink() and Path(os.readlink(link)).is_relative_to(state):
            link.unlink()
