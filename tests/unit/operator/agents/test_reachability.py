"""Against this machine's own sockets. The refusals of rulesets are in the agent's and the firewall's tests."""

import asyncio
import socket
from time import monotonic

import pytest
from promised import promised

from berth_dev.ports import closed_port, free_port
from berth_operator.agents.reachability import own_address, path_stands


async def test_a_connection_says_that_packets_arrive() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert await path_stands("127.0.0.1", server.getsockname()[1], 2)


@pytest.mark.alone
async def test_a_port_that_nobody_serves_refuses_and_the_time_ends() -> None:
    with closed_port() as port:
        began = monotonic()
        assert await path_stands("127.0.0.1", port, 0.2) is False
        assert monotonic() - began < promised(2)


async def test_a_path_that_comes_up_later_is_found() -> None:
    port = free_port()
    waiting = asyncio.create_task(path_stands("127.0.0.1", port, 10))
    await asyncio.sleep(0)
    with socket.create_server(("127.0.0.1", port)):
        assert await waiting


def test_our_own_address_towards_a_peer() -> None:
    assert own_address("127.0.0.1", 80) == "127.0.0.1"
