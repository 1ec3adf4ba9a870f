"""The machines of the cluster as network namespaces on one bridge.

The machine itself is 198.18.0.1 (the range of RFC 2544, for benchmarks, which no real network
uses), nodes, outside clients and a robot are namespaces beside it. All packet filter state of the
cluster stays inside the namespaces. The bridge carries the state folder's path as its alias,
by which we know it as ours. `BERTH_SLOT` (0 to 9) gives a second cluster addresses of its
own, 198.18.<slot>.0/24, so that tests of starting and stopping leave the first one alone.

Outside clients have a second address, 33.18.<slot>.<n>, in a range that counts as public but that
no network announces: workspaces reach it without a setting in their type. Only nodes have routes to
it; the machine itself has none, so no packet to it leaves the namespaces.
"""

import ipaddress
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from berth_dev.commands import run
from berth_dev.errors import ClusterError

SLOT = min(9, int(os.environ.get("BERTH_SLOT") or 0))
PREFIX = f"berth{SLOT or ''}"
BRIDGE = f"{PREFIX}-bridge"
NETWORK = ipaddress.IPv4Network(f"198.18.{SLOT}.0/24")
HOST_ADDRESS = f"198.18.{SLOT}.1"
POD_RANGE = ipaddress.IPv4Network(f"10.{244 + SLOT}.0.0/16")
NETNS_FOLDER = Path("/run/netns")
LINKS_FOLDER = Path("/sys/class/net")
CGROUPS = Path("/sys/fs/cgroup")
SETTINGS = {"ipv4/ip_forward": "1", "bridge/bridge-nf-call-iptables": "1"}


@dataclass(frozen=True)
class Machine:
    """A namespace with one address on the bridge; nodes also have a range of pod addresses.

    `public` is a further address that counts as public; outside clients have one.
    """

    name: str
    address: str
    pods: str = ""
    public: str = ""

    @property
    def namespace(self) -> str:
        """Its name in /run/netns."""
        return f"{PREFIX}-{self.name}"

    @property
    def link(self) -> str:
        """The bridge's end of its cable (at most 15 characters)."""
        return f"{PREFIX}-{self.address.rpartition('.')[2]}"

    @property
    def cgroups(self) -> list[Path]:
        """Paths of its pods' cgroup: a folder in each of the kernel's hierarchies, existing or not."""
        hierarchies = sorted(CGROUPS.glob("*/cgroup.procs")) if not (CGROUPS / "cgroup.controllers").exists() else []
        return [procs.parent / self.namespace for procs in hierarchies] or [CGROUPS / self.namespace]

    def command(self, *words: str | Path) -> list[str]:
        """`words` as a command that runs inside."""
        return ["nsenter", f"--net={NETNS_FOLDER / self.namespace}", "--", *map(str, words)]


NODES = tuple(
    Machine(name=f"node-{number}", address=f"198.18.{SLOT}.{10 + number}", pods=f"10.{244 + SLOT}.{number}.0/24")
    for number in (1, 2)
)
OUTSIDE = tuple(
    Machine(name=f"outside-{last}", address=f"198.18.{SLOT}.{last}", public=f"33.18.{SLOT}.{last}")
    for last in (110, 111, 112)
)
ROBOTS = ipaddress.IPv4Network(f"198.18.{SLOT}.224/28")
"""Where machines stand that are lent at their addresses: the value `instances.machineCidrs`."""
ROBOT = Machine(name="robot", address=str(ROBOTS[1]))
"""The robot of the tour. It sees pods' own addresses, so it has the way back to them."""
MACHINES = (*NODES, *OUTSIDE, ROBOT)


def owner() -> str:
    """The state folder of the cluster that owns the existing bridge; empty where there is none."""
    process = run(["ip", "-j", "link", "show", "dev", BRIDGE], check=False)
    if process.returncode != 0:
        return ""
    return str(json.loads(process.stdout)[0].get("ifalias", "unknown"))


def require_free(state: Path) -> None:
    """Raise ClusterError where the addresses are in use, or the bridge is another cluster's."""
    if (holder := owner()) and holder != str(state):
        raise ClusterError(
            f"a cluster of {holder} runs on this machine: stop it with `BERTH_STATE={holder} make down` first"
        )
    routes = json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"]).stdout)
    for route in routes:
        destination = route.get("dst", "default")
        if destination == "default" or route.get("dev") == BRIDGE:
            continue
        present = ipaddress.IPv4Network(destination, strict=False)
        for network in (NETWORK, POD_RANGE):
            if present.overlaps(network) and present.prefixlen >= 8:
                raise ClusterError(
                    f"{network} is in use on this machine ({destination} on {route.get('dev', '?')}): "
                    "Berth's local cluster needs it, so remove that address or route first"
                )


def require_bridge_filter() -> None:
    """Load br_netfilter where the kernel has it as a module; ClusterError where it has none."""
    setting = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if not setting.exists() and shutil.which("modprobe"):
        run(["modprobe", "br_netfilter"], check=False)
    if not setting.exists():
        raise ClusterError("the kernel lacks br_netfilter, which Services need: load it with `modprobe br_netfilter`")


def create(state: Path) -> None:
    """Make the bridge, nodes, outside clients and the robot, with routes to pods and to public addresses."""
    _batch(
        [
            f"link add {BRIDGE} type bridge",
            f"link set {BRIDGE} alias {state}",
            f"address add {HOST_ADDRESS}/{NETWORK.prefixlen} dev {BRIDGE}",
            f"link set {BRIDGE} up",
        ]
    )
    for machine in MACHINES:
        _connect(machine)
    for node in NODES:
        others = [f"route add {other.pods} via {other.address}" for other in NODES if other != node]
        public = [f"route add {machine.public} via {machine.address}" for machine in OUTSIDE]
        _batch([f"route add default via {HOST_ADDRESS}", *others, *public], inside=node)
        for name, value in SETTINGS.items():
            run(node.command("sh", "-c", f"echo {value} > /proc/sys/net/{name}"))
    ways = [f"route add {node.pods} via {node.address}" for node in NODES]
    _batch(ways)
    _batch(ways, inside=ROBOT)


def remove(state: Path) -> None:
    """Undo `create`: remove namespaces and bridge, as far as they exist and are ours."""
    if (holder := owner()) and holder != str(state):
        return
    for machine in MACHINES:
        if (NETNS_FOLDER / machine.namespace).exists():
            run(["ip", "netns", "delete", machine.namespace])
        # The kernel keeps a namespace, and so its cable, until its last orphaned connection has timed out. So the cable
        # is deleted at once; the kernel may have removed it first.
        if (LINKS_FOLDER / machine.link).exists():
            run(["ip", "link", "delete", machine.link], check=False)
    if holder:
        run(["ip", "link", "delete", BRIDGE])


def pids_inside(state: Path) -> list[int]:
    """Ids of processes that run in the namespaces of the cluster of `state`."""
    if owner() not in ("", str(state)):
        return []
    pids: list[int] = []
    for machine in MACHINES:
        if (NETNS_FOLDER / machine.namespace).exists():
            process = run(["ip", "netns", "pids", machine.namespace], check=False)
            pids += [int(word) for word in process.stdout.split()]
    return pids


def _connect(machine: Machine) -> None:
    _batch(
        [
            f"netns add {machine.namespace}",
            f"link add {machine.link} type veth peer name eth0 netns {machine.namespace}",
            f"link set {machine.link} master {BRIDGE} up",
        ]
    )
    public = [f"address add {machine.public}/32 dev lo"] if machine.public else []
    _batch(
        ["link set lo up", *public, f"address add {machine.address}/{NETWORK.prefixlen} dev eth0", "link set eth0 up"],
        inside=machine,
    )


def _batch(lines: list[str], inside: Machine | None = None) -> None:
    command: list[str] = ["ip", "-batch", "-"]
    run(inside.command(*command) if inside else command, stdin="\n".join(lines) + "\n")
