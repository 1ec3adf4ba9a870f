"""Figures that are promised: 100 Mbit/s through one connector, and 200 connectors; half of each is the bar here."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .robot import Robot
from .world import HERE, World, flow, until

pytestmark = pytest.mark.alone

CONNECTORS = 200
MEGABYTES = 64


def cpu(pid: int) -> float:
    """Processor seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def test_one_connector_carries_50_megabits_in_a_second_and_more(world: World) -> None:
    async def source(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        for _ in range(MEGABYTES * 16):
            writer.write(b"x" * 65536)
            await writer.drain()
        writer.close()

    listener = await asyncio.start_server(source, "127.0.0.1", 0)
    target = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    world.hub()
    host = world.host([target]).start()
    until(host.is_linked)
    stream = await flow(world, "hub-a", target, world.word(host, 1, [target]))
    begin, used = time.monotonic(), (cpu(host.pid), cpu(world.hubs["hub-a"].pid))
    await stream.send("g")
    received = 0
    while data := await stream.reader.read(1 << 18):
        received += len(data)
    seconds = time.monotonic() - begin
    listener.close()
    assert received == MEGABYTES << 20
    rate = received * 8 / seconds / 1e6
    spent = [
        (now - before) / received * 1e9
        for now, before in zip((cpu(host.pid), cpu(world.hubs["hub-a"].pid)), used, strict=True)
    ]
    print(f"\n{rate:.0f} Mbit/s; processor seconds a gigabyte: connector {spent[0]:.1f}, hub {spent[1]:.1f}")
    assert rate > 50


async def test_a_round_trip_takes_milliseconds(world: World, robot: Robot) -> None:
    world.hub()
    host = world.host([robot.target]).start()
    until(host.is_linked)
    stream = await flow(world, "hub-a", robot.target, world.word(host, 1, [robot.target]))
    times = []
    for _ in range(300):
        begin = time.monotonic()
        await stream.send("ping")
        await stream.reader.readexactly(4)
        times.append(time.monotonic() - begin)
    times.sort()
    print(f"\nround trip {times[150] * 1e3:.2f} ms, p99 {times[296] * 1e3:.2f} ms")
    assert times[150] < 0.05


async def test_two_hundred_connectors_are_linked_and_cost_the_hub_little(world: World, robot: Robot) -> None:
    world.hub()
    empty = megabytes(world.hubs["hub-a"].pid)
    hosts = [world.host([robot.target], f"bench-{number}") for number in range(CONNECTORS)]
    begin = time.monotonic()
    processes = [
        subprocess.Popen(
            [sys.executable, str(HERE / "many.py"), *(str(host.folder) for host in hosts[start::4])],
            stderr=subprocess.DEVNULL,
        )
        for start in range(4)
    ]
    try:
        await asyncio.to_thread(until, lambda: len(world.links("hub-a")) == CONNECTORS, 120.0)
        linked = time.monotonic() - begin
        used, at = cpu(world.hubs["hub-a"].pid), time.monotonic()
        await asyncio.sleep(10)
        load = (cpu(world.hubs["hub-a"].pid) - used) / (time.monotonic() - at) * 100
        each = (megabytes(world.hubs["hub-a"].pid) - empty) / CONNECTORS
        last = hosts[-1]
        stream = await flow(world, "hub-a", robot.target, world.word(last, 1, [robot.target]))
        await stream.send("one\n")
        until(lambda: robot.lines() == ["one"])
        begin = time.monotonic()
        world.delete(last)
        assert await stream.ended()
        cut = time.monotonic() - begin
        print(f"\n{CONNECTORS} after {linked:.1f} s; hub {load:.0f} % of a core, {each:.2f} MB each; cut {cut:.2f} s")
        assert len(world.links("hub-a")) >= CONNECTORS - 1
        assert load < 60
        assert each < 1
        assert cut < 1
    finally:
        for process in processes:
            process.kill()
            process.wait()
