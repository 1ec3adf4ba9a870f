"""Puts the program and its systemd unit in place: for the machine as root, else for the user who runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from typing import Final

from berth_connector import config, files

UNIT: Final = "berth-connector.service"


@dataclass(frozen=True)
class Places:
    """Where things go."""

    program: str
    unit: str
    config: str
    state: str
    systemctl: tuple[str, ...]


def places(root: bool, home: str) -> Places:
    """Return the places for the whole machine, or for one user. Pure."""
    if root:
        return Places(
            "/usr/local/lib/berth-connector.pyz",
            f"/etc/systemd/system/{UNIT}",
            config.PATH,
            config.STATE,
            ("systemctl",),
        )
    share = f"{home}/.local/share/berth-connector"
    return Places(
        f"{share}/berth-connector.pyz",
        f"{home}/.config/systemd/user/{UNIT}",
        f"{home}/.config/berth-connector.conf",
        share,
        ("systemctl", "--user"),
    )


def unit(where: Places, root: bool) -> str:
    """Return the systemd unit. Pure."""
    confined = [
        "DynamicUser=yes",
        "StateDirectory=berth-connector",
        "StateDirectoryMode=0700",
        "ProtectHome=yes",
        "ProtectKernelTunables=yes",
        "ProtectControlGroups=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    ]
    lines = [
        "[Unit]",
        "Description=Links this machine to Berth",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=notify",
        f"ExecStart=/usr/bin/env python3 -I {where.program} run --config {where.config}",
        "Restart=always",
        "RestartSec=1",
        "# A connector that hangs is killed, and with it the sockets to the machine.",
        "WatchdogSec=5",
        "WatchdogSignal=SIGKILL",
        "# Time for onDisconnect when the service is stopped.",
        "TimeoutStopSec=30",
        "NoNewPrivileges=yes",
        *(confined if root else []),
        "",
        "[Install]",
        f"WantedBy={'multi-user.target' if root else 'default.target'}",
    ]
    return "\n".join(lines) + "\n"


def install(where: Places, root: bool) -> list[str]:
    """Copy the program, write the unit and start it. Return sentences about what was done. Raises OSError."""
    source = os.path.abspath(sys.argv[0])
    if not zipfile.is_zipfile(source):
        return [f"Start it with: berth-connector run --config {where.config}"]
    os.makedirs(os.path.dirname(where.program), exist_ok=True)
    if source != where.program:
        with open(source, "rb") as file:
            files.replace(where.program, file.read(), 0o755)
    systemctl = shutil.which("systemctl")
    if systemctl is None or not os.path.isdir("/run/systemd/system"):
        return [f"There is no systemd here. Start it with: python3 {where.program} run --config {where.config}"]
    os.makedirs(os.path.dirname(where.unit), exist_ok=True)
    files.replace(where.unit, unit(where, root).encode(), 0o644)
    done = [f"Wrote {where.program} and {where.unit}."]
    for words in (["daemon-reload"], ["enable", "--now", UNIT], ["restart", UNIT]):
        result = subprocess.run([systemctl, *where.systemctl[1:], *words], check=False)  # noqa: S603 (our own words)
        if result.returncode:
            return [*done, f"systemctl {words[0]} failed: see its message, then repeat `systemctl {' '.join(words)}`"]
    if not root:
        done.append("For it to run while you are logged out: loginctl enable-linger")
    return [*done, f"It runs: journalctl {'' if root else '--user '}-u berth-connector shows what it does."]
