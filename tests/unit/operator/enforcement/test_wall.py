"""The program with which pods without an agent begin, on the loopback."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from promised import promised

from berth_dev.ports import closed_port, free_port
from berth_operator.enforcement.canary import LINE, listen
from berth_operator.enforcement.wall import NO_SERVICE, Canary, Sample, sample, stands

HERE = "127.0.0.1"


@asynccontextmanager
async def served(*ports: int) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for port in ports:
            await stack.enter_async_context(await listen(port, HERE))
        yield


def canary() -> Canary:
    return Canary(HERE, free_port(), free_port())


@pytest.mark.alone
async def test_before_a_wall_that_stands_it_takes_less_than_a_second() -> None:
    one = canary()
    async with served(one.control):
        before = time.monotonic()
        assert await stands([one, one], 10) == ""
        assert time.monotonic() - before < promised(1)


@pytest.mark.thorough
async def test_it_goes_on_while_the_canary_can_be_reached() -> None:
    one = canary()
    async with served(one.control):
        async with served(one.port):
            waits = asyncio.create_task(stands([one], 20))
            _, pending = await asyncio.wait([waits], timeout=1)
            assert pending
        assert await waits == ""


async def test_it_gives_up_in_time_and_says_that_nothing_keeps_the_pod_from_machines() -> None:
    one = canary()
    async with served(one.control, one.port):
        why = await stands([one], 0.5)
    assert f"no NetworkPolicy kept the pod from {HERE} port {one.port}" in why
    assert "instances.blockedCidrs" in why


async def test_silence_of_both_ports_proves_nothing() -> None:
    one = canary()
    assert (await sample(one))[0] is Sample.SILENT
    assert "the Deployment berth-canary" in await stands([one], 0.5)


@pytest.mark.thorough
async def test_every_address_must_be_shut() -> None:
    """Of a cluster with two IP versions one may be without a wall."""
    shut, reached = canary(), canary()
    async with served(shut.control, reached.control, reached.port):
        # The first takes three samples of this time, and on a busy machine a sample takes long.
        assert f"port {reached.port}" in await stands([shut, reached], 5)


async def test_a_control_port_that_takes_connections_and_says_nothing_is_no_proof() -> None:
    silent = await asyncio.start_server(lambda _reader, _writer: None, HERE, 0)
    async with silent:
        control = silent.sockets[0].getsockname()[1]
        with closed_port() as port:
            assert (await sample(Canary(HERE, control, port)))[0] is Sample.SILENT


@pytest.mark.thorough
async def test_a_slow_network_is_waited_for_and_both_ports_get_the_same_time() -> None:
    async def late(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)
        writer.write(LINE)
        writer.close()

    async with await asyncio.start_server(late, HERE, 0) as slow:
        with closed_port() as port:
            assert await stands([Canary(HERE, slow.sockets[0].getsockname()[1], port)], 30) == ""


async def test_without_an_address_it_fails_at_once_and_its_last_line_says_what_to_do() -> None:
    command = [sys.executable, "-m", "berth_operator.enforcement.wall", "60", "8473", "8474"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr.strip()) == (1, NO_SERVICE)
    assert len(done.stderr) < 2048, "more than a termination message holds"


async def test_the_canary_says_the_same_on_all_its_ports() -> None:
    one = canary()
    async with served(one.control, one.port):
        for port in (one.control, one.port):
            reader, writer = await asyncio.open_connection(HERE, port)
            assert await reader.read() == LINE
            writer.close()
