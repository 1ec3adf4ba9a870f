"""Streams from a client through the hub and a connector to a machine, all real processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from berth_core.connectors.words import Signer
from berth_core.pki import pem
from berth_dev.ports import free_port

from . import world as worlds
from .robot import Robot
from .world import Host, RefusedError, World, flow, opened, until


async def test_bytes_go_both_ways_and_a_client_that_closes_ends_the_machines_socket(world: World, robot: Robot) -> None:
    world.hub()
    host = world.host([robot.target]).start()
    until(host.is_linked)
    one = await flow(world, "hub-a", robot.target, world.word(host, 1, [robot.target]))
    await one.send("hello\n")
    assert await one.reader.readexactly(6) == b"hello\n"
    await one.send("stop\n")
    one.writer.close()
    until(lambda: robot.lines() == ["hello", "stop"])
    until(lambda: robot.connected == 0)


async def test_what_was_sent_before_an_orderly_close_arrives(world: World, robot: Robot) -> None:
    robot.mute = True
    world.hub()
    host = world.host([robot.target]).start()
    until(host.is_linked)
    one = await flow(world, "hub-a", robot.target, world.word(host, 1, [robot.target]))
    one.writer.write(b"x" * 3_000_000)
    one.writer.close()
    until(lambda: sum(len(data) for _, data in robot.log) == 3_000_000)


async def test_a_newer_epoch_ends_the_older_streams_and_an_older_one_is_refused(world: World, robot: Robot) -> None:
    world.hub()
    host = world.host([robot.target]).start()
    until(host.is_linked)
    old = await flow(world, "hub-a", robot.target, world.word(host, 1, [robot.target]))
    await old.send("one\n")
    until(lambda: robot.lines() == ["one"])
    new = await flow(world, "hub-a", robot.target, world.word(host, 2, [robot.target]))
    assert await old.ended()
    await new.send("two\n")
    until(lambda: robot.lines() == ["one", "two"])
    with pytest.raises(RefusedError, match="StaleEpoch"):
        await flow(world, "hub-a", robot.target, world.word(host, 1, [robot.target]))
    assert host.marks()[worlds.DEPLOYMENT]["epoch"] == 2


async def test_the_operators_word_ends_streams_without_a_newer_one(world: World, robot: Robot) -> None:
    world.hub()
    host = world.host([robot.target]).start()
    until(host.is_linked)
    word = world.word(host, 3, [robot.target])
    one = await flow(world, "hub-a", robot.target, word)
    await one.send("three\n")
    until(lambda: robot.lines() == ["three"])
    world.say(host, ("ended", 3, True))
    assert await one.ended()
    until(lambda: robot.connected == 0)
    with pytest.raises(RefusedError, match="LeaseOver"):
        await flow(world, "hub-a", robot.target, word)
    world.say(host)  # also where the hub has forgotten, the connector has not
    until(world.heard)
    with pytest.raises(RefusedError, match="LeaseOver"):
        await flow(world, "hub-a", robot.target, word)


async def test_a_word_for_another_connector_or_by_another_key_opens_nothing(world: World, robot: Robot) -> None:
    world.hub()
    host = world.host([robot.target]).start()
    other = world.host([robot.target], "bench-8").start()
    until(lambda: host.is_linked() and other.is_linked())
    strange = Signer(pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)))
    forged = strange.sign("open", host.uid, worlds.DEPLOYMENT, 1, [robot.target])
    with pytest.raises(RefusedError, match="WordRefused"):
        await flow(world, "hub-a", robot.target, forged)
    with pytest.raises(RefusedError, match="WordRefused"):
        await flow(world, "hub-a", robot.target, world.signer.sign("begun", host.uid, worlds.DEPLOYMENT, 1))
    assert not robot.log


async def test_only_targets_of_the_word_and_of_the_hosts_settings_are_reached(world: World, robot: Robot) -> None:
    closed = Robot()
    world.hub()
    host = world.host([robot.target]).start()
    until(host.is_linked)
    for target, targets in ((closed.target, [closed.target]), (robot.target, [closed.target]), ("localhost:1", [])):
        with pytest.raises(RefusedError, match="TargetRefused"):
            await flow(world, "hub-a", target, world.word(host, 1, targets))
    closed.close()
    with pytest.raises(RefusedError, match="TargetRefused"):
        await flow(world, "hub-a", "nonsense", world.word(host, 1, [robot.target]))


async def test_a_machine_that_does_not_answer_is_said(world: World) -> None:
    world.hub()
    target = f"127.0.0.1:{free_port()}"
    host = world.host([target]).start()
    until(host.is_linked)
    with pytest.raises(RefusedError, match="502 MachineUnreachable"):
        await flow(world, "hub-a", target, world.word(host, 1, [target]))


async def test_a_connector_links_to_every_replica_and_a_killed_one_leaves_the_other(world: World, robot: Robot) -> None:
    world.hub("hub-a", 2)
    world.hub("hub-b", 2)
    host = world.host([robot.target]).start()
    until(host.is_linked)
    word = world.word(host, 1, [robot.target])
    first = await flow(world, "hub-a", robot.target, word)
    second = await flow(world, "hub-b", robot.target, word)
    world.kill_hub("hub-a")
    assert await first.ended()
    await second.send("still\n")
    until(lambda: robot.lines() == ["still"])
    until(lambda: robot.connected == 1)
    world.hub("hub-a", 2)
    until(host.is_linked)
    assert not host.marks()[worlds.DEPLOYMENT]["owed"]


async def test_deleting_the_connector_cuts_it_within_a_second_on_every_replica(world: World, robot: Robot) -> None:
    world.hub("hub-a", 2)
    world.hub("hub-b", 2)
    host = world.host([robot.target]).start()
    until(host.is_linked)
    word = world.word(host, 1, [robot.target])
    flows = [await flow(world, replica, robot.target, word) for replica in ("hub-a", "hub-b")]
    until(lambda: robot.connected == 2)
    begin = time.monotonic()
    world.delete(host)
    assert all(await asyncio.gather(*(one.ended() for one in flows)))
    until(lambda: robot.connected == 0)
    assert time.monotonic() - begin < 1.0
    until(lambda: "this connector was deleted" in host.log())
    assert not world.links("hub-a")
    assert not world.links("hub-b")


async def test_connectors_of_another_authority_are_refused(world: World, robot: Robot, tmp_path: Path) -> None:
    world.hub()
    elsewhere = World(tmp_path / "elsewhere")
    elsewhere.ports = dict(world.ports)
    stranger = elsewhere.host([robot.target])
    trust = (world.folder / "trust.json").read_text()
    (stranger.folder / "state" / "trust.json").write_text(trust)
    stranger.start()
    until(lambda: "no link" in stranger.log())
    assert not world.links("hub-a")
    elsewhere.close()


async def test_a_hub_of_another_authority_is_refused(world: World, robot: Robot, tmp_path: Path) -> None:
    other = World(tmp_path / "other")
    other.hub()
    world.ports = dict(other.ports)
    host = world.host([robot.target]).start()
    until(lambda: "certificate verify failed" in host.log())
    assert not other.links("hub-a")
    other.close()


def speaking(host: Host, protocol: str) -> None:
    """Start the connector of another release."""
    starter = host.folder / "versions.py"
    starter.write_text(
        "import sys\nfrom berth_connector import __main__, links\n"
        f"links.PROTOCOL = {protocol!r}\nsys.exit(__main__.main(['run', '--config', {str(host.config)!r}]))\n"
    )
    with (host.folder / "log").open("ab") as log:
        host.process = subprocess.Popen([sys.executable, str(starter)], stderr=log, start_new_session=True)


@pytest.mark.parametrize("protocol", ["0", "99", "x"])
async def test_connectors_of_versions_that_the_hub_does_not_speak_are_told(
    world: World, robot: Robot, protocol: str
) -> None:
    world.hub()
    host = world.host([robot.target])
    speaking(host, protocol)
    until(lambda: "426" in host.log())
    assert ("upgrade Berth" if protocol == "99" else "too old") in host.log()


async def test_a_connector_that_is_told_to_stop_brings_the_machine_to_rest_first(world: World, robot: Robot) -> None:
    world.hub()
    rested = world.folder / "rested"
    host = world.host([robot.target], on_disconnect=["touch", str(rested)]).start()
    until(host.is_linked)
    one = await flow(world, "hub-a", robot.target, world.word(host, 1, [robot.target]))
    await one.send("one\n")
    until(lambda: robot.lines() == ["one"])
    host.signal(signal.SIGTERM)
    assert host.process is not None
    assert await asyncio.to_thread(host.process.wait, 10) == 0
    assert rested.exists()
    assert host.marks()[worlds.DEPLOYMENT] == {"epoch": 1, "over": False, "moved": False, "owed": False}


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_a_slow_machine_bounds_what_waits_for_it_and_holds_up_no_other_stream(world: World, robot: Robot) -> None:
    slow = asyncio.get_running_loop().create_future()

    async def never_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await slow

    listener = await asyncio.start_server(never_reads, "127.0.0.1", 0, limit=1024)
    target = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    world.hub()
    host = world.host([robot.target, target]).start()
    until(host.is_linked)
    word = world.word(host, 1, [robot.target, target])
    stuck = await flow(world, "hub-a", target, word)

    async def flood() -> None:
        while True:
            await stuck.send("x" * 65536)

    flooding = asyncio.ensure_future(flood())
    await asyncio.sleep(1.5)
    other = await flow(world, "hub-a", robot.target, word)
    begin = time.monotonic()
    await other.send("ping\n")
    assert await other.reader.readexactly(5) == b"ping\n"
    assert time.monotonic() - begin < 1.0
    assert resident(host.pid) < 80 << 20
    flooding.cancel()
    stuck.close()
    slow.set_result(None)
    listener.close()


async def test_the_first_stream_waits_for_its_connector(world: World, robot: Robot) -> None:
    world.hub()
    host = world.host([robot.target])
    until(world.heard)
    word = world.word(host, 1, [robot.target])
    with pytest.raises(RefusedError, match="503 NotLinked"):
        await flow(world, "hub-a", robot.target, word)
    host.start()
    one = await opened(world, "hub-a", robot.target, word)
    await one.send("one\n")
    until(lambda: robot.lines() == ["one"])
