"""A control plane that can lose parts: three etcd members and two API servers, behind a balancer of connections."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from berth_dev.cluster.control_plane import ControlPlane, ControlPlaneOptions
from berth_dev.commands import run
from berth_dev.components import ETCD_TOOLS, build, control_plane_components
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import apply_crds
from berth_dev.errors import ClusterError
from berth_dev.ports import free_port
from berth_dev.processes import ProcessSpec

from ..envtest.operator.lab import DEPLOYMENTS, INSTANCES, RESERVATIONS, RULES, TYPES
from .balancer import Balancer
from .waiting import until

MEMBERS = ("etcd-0", "etcd-1", "etcd-2")
SERVERS = ("apiserver-0", "apiserver-1")
KINDS = tuple(f"{kind.plural}.berth.dev" for kind in (TYPES, DEPLOYMENTS, INSTANCES, RESERVATIONS, RULES))
QUOTA = 128 << 20
"""Bytes that etcd may take. A run writes much less, where nothing fills it on purpose."""
READY_SECONDS = 90.0


@dataclass
class Part:
    """One process of the control plane; it ends with ours."""

    spec: ProcessSpec
    port: int
    """Where it serves its clients."""
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it, for the first time or again."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(self.spec.argv(), stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def lose(self) -> None:
        """Kill it, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class Plane:
    """See the module; made by :func:`plane_in`. `server` is whichever API server takes the connection."""

    server: ApiServer
    parts: Mapping[str, Part]
    pki: Path

    async def lost(self, name: str, after: float, seconds: float) -> None:
        """Lose a part after some seconds, for some seconds, and wait until it serves again."""
        await asyncio.sleep(after)
        self.parts[name].lose()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.parts[name].start()
        await self.ready(*KINDS)

    async def ready(self, *kinds: str) -> None:
        """Wait until every part serves, and every API server some kinds: their storage comes with the first request."""
        what = f"all parts of the control plane serve: see {self.pki.parent}"
        await until(partial(self._serves, kinds), what, READY_SECONDS)

    async def _serves(self, kinds: Sequence[str]) -> bool:
        asked = [["--raw", "/readyz"], *([[",".join(kinds), "--all-namespaces", "-o", "name"]] if kinds else [])]
        try:
            for name in SERVERS:
                at = f"--server=https://127.0.0.1:{self.parts[name].port}"
                for words in asked:
                    await asyncio.to_thread(self.server.kubectl, at, "get", *words, "--request-timeout=5s")
            await asyncio.to_thread(self.etcdctl, "endpoint", "health")
        except ClusterError:
            return False
        return True

    def etcdctl(self, *words: str) -> str:
        """Give etcdctl a command for all members: what it printed; ClusterError where it fails."""
        members = ",".join(f"https://127.0.0.1:{self.parts[name].port}" for name in MEMBERS)
        where = [f"--endpoints={members}", f"--cacert={self.pki / 'ca.crt'}", f"--cert={self.pki / 'etcd.crt'}"]
        return run([self.server.tools.path("etcdctl"), *where, f"--key={self.pki / 'etcd.key'}", *words]).stdout


@asynccontextmanager
async def plane_in(folder: Path) -> AsyncIterator[Plane]:
    """Run a control plane with Berth's CRDs in a folder."""
    ports = [free_port() for _ in SERVERS]
    balancer = Balancer(ports)
    listening = await asyncio.start_server(balancer.serve, "127.0.0.1", 0)
    made = ControlPlane(
        ControlPlaneOptions(folder, port=listening.sockets[0].getsockname()[1]),
        await asyncio.to_thread(build, (*control_plane_components(), ETCD_TOOLS)),
    )
    members = _members(made)
    parts = {part.spec.name: part for part in (*members, *_servers(made, ports, members))}
    plane = Plane(ApiServer(made.kubeconfig, made.url, made.tools), parts, folder / "pki")
    try:
        for part in parts.values():
            part.start()
        await plane.ready()
        await asyncio.to_thread(apply_crds, plane.server)
        await plane.ready(*KINDS)
        yield plane
    finally:
        for part in parts.values():
            part.lose()
        listening.close()
        await balancer.ended()


def _members(made: ControlPlane) -> list[Part]:
    clients, peers = ([free_port() for _ in MEMBERS] for _ in range(2))
    cluster = ",".join(f"{name}=http://127.0.0.1:{peer}" for name, peer in zip(MEMBERS, peers, strict=True))
    found = []
    for name, client, peer in zip(MEMBERS, clients, peers, strict=True):
        flags: dict[str, object] = {
            "name": name,
            "data-dir": made.folder / name,
            "initial-cluster": cluster,
            "quota-backend-bytes": QUOTA,
        }
        flags |= dict.fromkeys(("listen-client-urls", "advertise-client-urls"), f"https://127.0.0.1:{client}")
        flags |= dict.fromkeys(("listen-peer-urls", "initial-advertise-peer-urls"), f"http://127.0.0.1:{peer}")
        found.append(Part(_varied(made.etcd(), name, flags), client, made.folder / f"{name}.log"))
    return found


def _servers(made: ControlPlane, ports: Sequence[int], members: Sequence[Part]) -> list[Part]:
    stores = ",".join(f"https://127.0.0.1:{member.port}" for member in members)
    return [
        Part(
            _varied(made.apiserver(), name, {"secure-port": port, "etcd-servers": stores}),
            port,
            made.folder / f"{name}.log",
        )
        for name, port in zip(SERVERS, ports, strict=True)
    ]


def _varied(spec: ProcessSpec, name: str, flags: Mapping[str, object]) -> ProcessSpec:
    kept = [word for word in spec.command if word.removeprefix("--").partition("=")[0] not in flags]
    return replace(spec, name=name, command=(*kept, *(f"--{flag}={value}" for flag, value in flags.items())))
