"""A host behind NAT, in network namespaces of the test's own: only what it opens comes through."""

import asyncio
import ssl
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.envtest.agent.netns import NetNS

from berth_core import names

from . import world as worlds
from .robot import Robot
from .world import Flow, World, until

HUB, ROUTER, INSIDE, HOST = "198.51.100.1", "198.51.100.2", "10.77.0.1", "10.77.0.2"
NAT = """
table ip nat {
  chain out { type nat hook postrouting priority 100; oifname "wan" masquerade; }
}
table ip filter {
  chain through {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "lan" accept
  }
}
"""


@dataclass
class Site:
    """Hub, router and host, each in a namespace of its own."""

    hub: NetNS
    router: NetNS
    host: NetNS

    def cut(self, *, silent: bool) -> None:
        """Drop what passes the router, or have it answer with resets."""
        verdict = "drop" if silent else "reject with tcp reset"
        words = ["nft", "add", "table", "ip", "cut", ";", "add", "chain", "ip", "cut", "c"]
        words += [
            "{ type filter hook forward priority -10 ; }",
            ";",
            "add",
            "rule",
            "ip",
            "cut",
            "c",
            "meta l4proto tcp",
        ]
        self.router.sh(*words, verdict)

    def mend(self) -> None:
        self.router.sh("nft", "delete", "table", "ip", "cut")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    tag = uuid.uuid4().hex[:6]
    made = Site(*(NetNS(f"bc-{part}-{tag}") for part in ("hub", "router", "host")))
    try:
        made.hub.sh("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "wan", "netns", made.router.name)
        made.host.sh("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "lan", "netns", made.router.name)
        for where, link, address in (
            (made.hub, "eth0", HUB),
            (made.router, "wan", ROUTER),
            (made.router, "lan", INSIDE),
            (made.host, "eth0", HOST),
        ):
            where.sh("ip", "address", "add", f"{address}/24", "dev", link)
            where.sh("ip", "link", "set", link, "up")
        made.host.sh("ip", "route", "add", "default", "via", INSIDE)
        made.hub.sh("ip", "route", "add", "10.77.0.0/24", "via", ROUTER)
        made.router.sh("sysctl", "-qw", "net.ipv4.ip_forward=1")
        rules = tmp_path / "nat.nft"
        rules.write_text(NAT)
        made.router.sh("nft", "-f", str(rules))
        yield made
    finally:
        for namespace in (made.hub, made.router, made.host):
            namespace.remove()


def inside(namespace: NetNS) -> tuple[str, ...]:
    return ("nsenter", f"--net=/run/netns/{namespace.name}")


async def through(world: World, site: Site, target: str, word: str) -> Flow:
    """Open a stream from the hub's own namespace, again while the hub takes a dead link for one that stands."""
    end = time.monotonic() + 20
    while True:
        try:
            return await attempt(world, site, target, word)
        except (OSError, asyncio.IncompleteReadError):
            assert time.monotonic() < end
        await asyncio.sleep(0.1)


async def attempt(world: World, site: Site, target: str, word: str) -> Flow:
    context = ssl.create_default_context(cadata=world.authority.pair.certificate)
    sock = site.hub.connect(("127.0.0.1", world.ports["hub-a"]))
    sock.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname=names.HUB_DNS)
    writer.write(f"CONNECT {target} HTTP/1.1\r\nBerth-Word: {word}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionRefusedError(head)
    return Flow(reader, writer)


@pytest.fixture
def robot_there(site: Site) -> Iterator[Robot]:
    made = site.host.call(Robot)
    try:
        yield made
    finally:
        made.close()


async def test_a_host_behind_nat_is_reached_by_its_link_alone_and_a_cut_stops_its_machine(
    world: World, site: Site, robot_there: Robot
) -> None:
    robot = robot_there
    world.hub(prefix=inside(site.hub))
    rested = world.folder / "rested"
    host = world.host([robot.target], on_disconnect=["touch", str(rested)])
    settings = host.config.read_text().replace(
        "127.0.0.1:" + str(world.ports["hub-a"]), f"{HUB}:{world.ports['hub-a']}", 1
    )
    host.config.write_text(settings)
    host.start(prefix=inside(site.host))
    until(host.is_linked)
    with pytest.raises((TimeoutError, OSError)):
        site.hub.connect((HOST, robot.port), timeout=1.0)
    word = world.word(host, 1, [robot.target])
    one = await through(world, site, robot.target, word)
    await one.send("one\n")
    assert await one.reader.readexactly(4) == b"one\n"
    for silent in (True, False):
        begin = time.monotonic()
        site.cut(silent=silent)
        await asyncio.to_thread(until, lambda: robot.connected == 0)
        assert time.monotonic() - begin < 2.9
        await asyncio.to_thread(until, rested.exists)
        site.mend()
        until(lambda: "machine at rest" in host.log())
        await asyncio.to_thread(until, host.is_linked, 40)
        rested.unlink()
        again = await through(world, site, robot.target, word)
        await again.send("again\n")
        await asyncio.to_thread(until, lambda: robot.lines()[-1] == "again")
    assert worlds.DEPLOYMENT in host.marks()
