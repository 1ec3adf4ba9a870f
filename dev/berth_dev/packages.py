"""Debian packages that the cluster needs: missing ones are installed, nothing else."""

import os
import shutil
from collections.abc import Sequence

from berth_dev.commands import run
from berth_dev.errors import ClusterError
from berth_dev.progress import step

NEEDED = (
    "apache2-bin",
    "buildah",
    "ca-certificates",
    "conntrack",
    "containernetworking-plugins",
    "curl",
    "debootstrap",
    "dropbear-bin",
    "faketime",
    "gcc",
    "git",
    "iproute2",
    "ipset",
    "iptables",
    "jq",
    "libc6-dev",
    "libseccomp-dev",
    "nftables",
    "openssh-client",
    "openvpn",
    "pkg-config",
    "redis-server",
    "socat",
    "tmux",
    "util-linux",
)

RUST = ("cargo-web", "rustc-web")
"""Debian's newer Rust; its plain `cargo` is too old for the crates of spec/."""


def missing(needed: Sequence[str] = NEEDED) -> list[str]:
    """The needed packages that are not installed."""
    if shutil.which("dpkg-query") is None:
        raise ClusterError("the local cluster needs Debian or Ubuntu: use CLUSTER=existing with a cluster of your own")
    shown = run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\\n", *needed], check=False).stdout
    installed = {line.split()[1] for line in shown.splitlines() if line.startswith("ii")}
    return [package for package in needed if package not in installed]


def install_missing(needed: Sequence[str] = NEEDED) -> None:
    """Install missing packages with apt; ClusterError where there is no apt, no root or no network."""
    wanted = missing(needed)
    if not wanted:
        return
    if shutil.which("apt-get") is None:
        raise ClusterError(f"there is no apt-get: install these yourself and try again: {' '.join(wanted)}")
    if os.geteuid() != 0:
        raise ClusterError(f"installing packages needs root: run again with sudo, or install {' '.join(wanted)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with step(f"installing {' '.join(wanted)}"):
        run(["apt-get", "-qq", "update"], env=quiet, timeout=600)
        run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", *wanted], env=quiet, timeout=1800)
