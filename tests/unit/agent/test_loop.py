import socket
import time

import pytest

from berth_agent.loop import Loop, pause, readable, writable


def test_tasks_take_turns_while_they_wait() -> None:
    loop, seen = Loop(), []
    near, far = socket.socketpair()

    async def reader() -> None:
        await readable(near, time.monotonic() + 5)
        seen.append(near.recv(10))

    async def writer() -> None:
        seen.append(b"first")
        await pause(time.monotonic() + 0.01)
        await writable(far, time.monotonic() + 5)
        far.send(b"sent")

    loop.spawn(reader())
    loop.spawn(writer())
    loop.run()
    assert seen == [b"first", b"sent"]
    near.close()
    far.close()


def test_a_socket_that_stays_silent_times_out_where_it_is_awaited() -> None:
    loop, seen = Loop(), []
    near, far = socket.socketpair()

    async def reader() -> None:
        try:
            await readable(near, time.monotonic() + 0.01)
        except TimeoutError:
            seen.append("late")

    loop.spawn(reader())
    loop.run()
    assert seen == ["late"]
    near.close()
    far.close()


def test_a_cancelled_task_cleans_up_and_others_go_on() -> None:
    loop, seen = Loop(), []
    near, far = socket.socketpair()

    async def victim() -> None:
        try:
            await readable(near, time.monotonic() + 60)
        finally:
            seen.append("cleaned")

    task = loop.spawn(victim())

    async def canceller() -> None:
        await pause(time.monotonic() + 0.01)
        loop.cancel(task)
        loop.cancel(task)
        seen.append("went on")

    loop.spawn(canceller())
    loop.run()
    assert seen == ["cleaned", "went on"]
    near.close()
    far.close()


def test_an_error_that_nobody_handles_ends_the_loop() -> None:
    loop = Loop()

    async def broken() -> None:
        await pause(0)
        raise KeyError("why")

    loop.spawn(broken())
    with pytest.raises(KeyError, match="why"):
        loop.run()
