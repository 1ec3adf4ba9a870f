"""The process beside an agent that carries streams, and the agent's loop that keeps it running."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from berth_dev.ports import free_port

from .robot import Robot
from .world import Host, World, until


class Carrier:
    """One carrier, for a port of its own."""

    def __init__(self, world: World, folder: Path, word: str, target: str) -> None:
        self.port = free_port()
        folder.mkdir()
        way = {
            "hub": ["127.0.0.1", world.ports["hub-a"]],
            "authority": world.authority.pair.certificate,
            "word": word,
            "ports": {str(self.port): target},
        }
        (folder / "machine.json").write_text(json.dumps(way))
        self.environment = {**os.environ, "BERTH_AGENT_SECRET_DIR": str(folder)}
        self.log = folder / "log"
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "berth_agent.machine"]
            self.process = subprocess.Popen(command, env=self.environment, stderr=log, stdout=log)
        until(lambda: "ports are open" in self.log.read_text())

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.77.0.1", self.port)


@pytest.fixture
def linked(world: World, robot: Robot) -> Host:
    world.hub()
    host = world.host([robot.target]).start()
    until(host.is_linked)
    return host


@pytest.fixture
def carrier(world: World, robot: Robot, linked: Host, tmp_path: Path) -> Iterator[Carrier]:
    made = Carrier(world, tmp_path / "agent", world.word(linked, 2, [robot.target]), robot.target)
    yield made
    made.process.kill()
    made.process.wait()


async def test_programs_of_the_workspace_reach_the_machine_at_an_address(carrier: Carrier, robot: Robot) -> None:
    ways = [await carrier.connect() for _ in range(3)]
    for number, (reader, writer) in enumerate(ways):
        writer.write(b"%d\n" % number)
        assert await reader.readexactly(2) == b"%d\n" % number
    for _, writer in ways:
        writer.close()
    await asyncio.to_thread(until, lambda: robot.connected == 0)


async def test_what_is_sent_before_an_orderly_close_arrives(carrier: Carrier, robot: Robot) -> None:
    robot.mute = True
    _, writer = await carrier.connect()
    writer.write(b"x" * 1_000_000)
    writer.close()
    await asyncio.to_thread(until, lambda: sum(len(data) for _, data in robot.log) == 1_000_000)


async def test_a_connection_waits_for_a_link_that_is_made_anew(
    world: World, carrier: Carrier, robot: Robot, linked: Host
) -> None:
    world.kill_hub("hub-a")
    reader, writer = await carrier.connect()
    writer.write(b"early\n")
    await asyncio.to_thread(world.hub)
    async with asyncio.timeout(20):
        assert await reader.readexactly(6) == b"early\n"
    assert robot.lines() == ["early"]


async def test_a_newer_lease_ends_its_connections_and_refuses_new_ones(
    world: World, carrier: Carrier, robot: Robot, linked: Host
) -> None:
    reader, writer = await carrier.connect()
    writer.write(b"two\n")
    assert await reader.readexactly(4) == b"two\n"
    world.say(linked, ("begun", 3, False))
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    late, late_writer = await carrier.connect()
    late_writer.write(b"late\n")
    async with asyncio.timeout(5):
        assert await late.read() == b""
    assert robot.lines() == ["two"]
    assert "has ended" in carrier.log.read_text()


def test_the_agent_starts_it_again_when_it_ends(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    folder.mkdir()
    (folder / "machine.json").write_text("{}")
    program = (
        "from berth_agent import carrier\nfrom berth_agent.loop import Loop\nfrom berth_agent.paths import Paths\n"
        "carrier.COMMAND = ('/bin/sh', '-c', 'echo started; exit 3')\ncarrier.LOOK_EVERY = 0.05\n"
        "loop = Loop()\nloop.spawn(carrier.keep(Paths.from_environment()))\nloop.run()\n"
    )
    environment = {**os.environ, "BERTH_AGENT_SECRET_DIR": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=log, stderr=log)
    try:
        until(lambda: (folder / "log").read_text().count("started") >= 3)
        assert '"status": 3' in (folder / "log").read_text()
        (folder / "machine.json").unlink()
        begin = time.monotonic()
        assert process.wait(10) == 0
        assert time.monotonic() - begin < 10
    finally:
        process.kill()
        process.wait()
