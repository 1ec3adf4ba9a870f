import asyncio
import socket
import ssl
import time
from collections.abc import Iterator

import pytest

from berth_agent.paths import Paths
from berth_agent.readiness import pause, readable, writable
from berth_agent.routes import Routes
from berth_agent.server import Server, listen
from berth_agent.store import Store
from berth_agent.vpn import Vpn


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


async def test_tasks_take_turns_while_they_wait(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    order = []

    async def reader() -> None:
        await readable(near, time.monotonic() + 5)
        order.append(near.recv(10))

    async def writer() -> None:
        order.append(b"first")
        await pause(time.monotonic() + 0.01)
        await writable(far, time.monotonic() + 5)
        far.send(b"sent")

    await asyncio.gather(reader(), writer())
    assert order == [b"first", b"sent"]


async def test_a_socket_that_stays_silent_times_out_where_it_is_awaited(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    with pytest.raises(TimeoutError):
        await readable(near, time.monotonic() + 0.01)
    far.send(b"later")
    await readable(near, time.monotonic() + 5)


async def test_a_cancelled_task_cleans_up_and_its_socket_can_be_awaited_again(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    task = asyncio.create_task(readable(near))
    await pause(time.monotonic() + 0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    far.send(b"later")
    await readable(near, time.monotonic() + 5)


def test_an_error_that_nobody_handles_ends_the_server() -> None:
    class Broken(ssl.SSLContext):
        def wrap_socket(self, *_: object, **__: object) -> ssl.SSLSocket:
            raise KeyError("why")

    listener = listen(0)
    paths = Paths.from_environment()
    routes = Routes(Store(paths), Vpn(paths), 1, 0)
    with listener, socket.create_connection(("127.0.0.1", listener.getsockname()[1])), pytest.raises(ExceptionGroup):
        Server(listener=listener, context=Broken(ssl.PROTOCOL_TLS_SERVER), routes=routes).run()
