"""No byte of an old epoch reaches the machine after the first of a newer one, whatever dies or stands still."""

import asyncio
import itertools
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from . import world as worlds
from .robot import Robot
from .world import Flow, Host, RefusedError, World, flow, opened, until

KILLS = range(1, 17)
PAUSES = range(1, 17, 3)


class Insisting:
    """A client that writes its epoch again and again, and opens its stream again whenever it can."""

    def __init__(self, world: World, replica: str, host: Host, epoch: int, target: str) -> None:
        self.epoch = epoch
        self.refusals: set[str] = set()
        self._open = (world, replica, target, world.word(host, epoch, [target]))
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        while True:
            stream: Flow | None = None
            try:
                stream = await flow(*self._open)
                for _ in itertools.count():
                    await stream.send(f"{self.epoch}\n")
                    await asyncio.sleep(0.002)
            except RefusedError as error:
                self.refusals.add(error.reason)
            except OSError:
                pass
            finally:
                if stream is not None:
                    stream.close()
            await asyncio.sleep(0.01)

    async def end(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


def held(robot: Robot) -> bool:
    """Whether epochs only ever rose."""
    epochs = [int(data[:1]) for _, data in robot.log if data[:1].isdigit()]
    return epochs == sorted(epochs)


async def two_replicas(world: World, robot: Robot, rested: Path) -> Host:
    for replica in ("hub-a", "hub-b"):
        world.hub(replica, 2)
    return world.host([robot.target], on_disconnect=["sh", "-c", f"echo $BERTH_EPOCH >>{rested}"])


async def until_true(what: Callable[[], object], seconds: float = 20.0) -> None:
    await asyncio.to_thread(until, what, seconds)


@pytest.mark.parametrize("step", KILLS)
async def test_a_connector_that_is_killed_at_any_step_of_a_change_of_epochs_keeps_the_fence(
    world: World, robot: Robot, step: int
) -> None:
    robot.mute = True
    rested, armed = world.folder / "rested", world.folder / "armed"
    host = await two_replicas(world, robot, rested)
    host.start("kill", str(step), str(armed))
    await until_true(host.is_linked)
    old = Insisting(world, "hub-a", host, 1, robot.target)
    await until_true(lambda: "1" in robot.lines())
    armed.touch()
    world.say(host, ("begun", 2, False))
    new = Insisting(world, "hub-b", host, 2, robot.target)
    assert host.process is not None
    await asyncio.to_thread(host.process.wait, 20)
    assert (world.folder / "armed.hit").exists()
    host.start()
    await until_true(lambda: "2" in robot.lines())
    await until_true(lambda: {"StaleEpoch", "LeaseOver"} & old.refusals)
    assert held(robot)
    await old.end()
    await new.end()
    if rested.exists():  # it was killed after a byte could have moved the machine
        assert set(rested.read_text().split()) <= {"1", "2"}


@pytest.mark.parametrize("seconds", [0.3, 3.0])
@pytest.mark.parametrize("step", PAUSES)
async def test_a_connector_that_stands_still_at_any_step_of_a_change_of_epochs_keeps_the_fence(
    world: World, robot: Robot, step: int, seconds: float
) -> None:
    robot.mute = True
    rested, armed = world.folder / "rested", world.folder / "armed"
    host = await two_replicas(world, robot, rested)
    host.start("stop", str(step), str(armed))
    await until_true(host.is_linked)
    old = Insisting(world, "hub-a", host, 1, robot.target)
    await until_true(lambda: "1" in robot.lines())
    armed.touch()
    middle = Insisting(world, "hub-b", host, 2, robot.target)
    await until_true((world.folder / "armed.hit").exists)
    world.say(host, ("begun", 3, False))  # nobody hears it
    new = Insisting(world, "hub-a", host, 3, robot.target)
    await asyncio.sleep(seconds)
    worlds.go_on(host.pid)
    await until_true(lambda: "3" in robot.lines())
    await until_true(lambda: old.refusals and middle.refusals)
    assert held(robot)
    for client in (old, middle, new):
        await client.end()


async def test_a_connector_that_stood_still_for_too_long_sends_no_byte_before_the_machine_is_at_rest(
    world: World, robot: Robot
) -> None:
    robot.mute = True
    world.hub()
    rested = world.folder / "rested"
    host = world.host([robot.target], on_disconnect=["sh", "-c", f"sleep 0.3; date +%s.%N >{rested}"]).start()
    until(host.is_linked)
    one = await flow(world, "hub-a", robot.target, world.word(host, 1, [robot.target]))
    await one.send("one\n")
    await until_true(lambda: robot.lines() == ["one"])
    worlds.stop(host.pid)
    await one.send("late\n" * 100_000)
    await asyncio.sleep(2.5)
    worlds.go_on(host.pid)
    assert await one.ended()
    await until_true(rested.exists)
    await until_true(lambda: robot.connected == 0)
    again = await opened(world, "hub-a", robot.target, world.word(host, 1, [robot.target]))
    await again.send("again\n")
    await until_true(lambda: "again" in robot.lines())
    assert "late" not in robot.lines()


async def test_a_link_that_is_silent_closes_the_machines_sockets_in_time_and_brings_it_to_rest(
    world: World, robot: Robot
) -> None:
    world.hub()
    rested = world.folder / "rested"
    host = world.host([robot.target], on_disconnect=["touch", str(rested)]).start()
    until(host.is_linked)
    one = await flow(world, "hub-a", robot.target, world.word(host, 1, [robot.target]))
    await one.send("one\n")
    await until_true(lambda: robot.lines() == ["one"])
    begin = time.monotonic()
    worlds.stop(world.hubs["hub-a"].pid)
    await until_true(lambda: robot.connected == 0)
    assert 1.4 < time.monotonic() - begin < 2.9
    await until_true(rested.exists)
    worlds.go_on(world.hubs["hub-a"].pid)
    await until_true(host.is_linked)
    again = await opened(world, "hub-a", robot.target, world.word(host, 1, [robot.target]))
    await again.send("two\n")
    await until_true(lambda: robot.lines() == ["one", "two"])


async def test_a_machine_that_is_not_at_rest_gets_no_stream_of_any_epoch(world: World, robot: Robot) -> None:
    world.hub()
    works = world.folder / "works"
    host = world.host([robot.target], on_disconnect=["test", "-e", str(works)], timeout=0.5).start()
    until(host.is_linked)
    one = await flow(world, "hub-a", robot.target, world.word(host, 1, [robot.target]))
    await one.send("one\n")
    await until_true(lambda: robot.lines() == ["one"])
    world.kill_hub("hub-a")
    await until_true(lambda: "onDisconnect failed" in host.log())
    world.hub()
    await until_true(host.is_linked)
    for epoch in (1, 2):
        with pytest.raises(RefusedError, match="503 NotAtRest"):
            await flow(world, "hub-a", robot.target, world.word(host, epoch, [robot.target]))
    host.kill()  # a restart changes nothing of that
    host.start()
    with pytest.raises(RefusedError, match="503 NotAtRest"):
        await opened(world, "hub-a", robot.target, world.word(host, 3, [robot.target]), but="NotAtRest")
    works.touch()
    again = await opened(world, "hub-a", robot.target, world.word(host, 3, [robot.target]))
    await again.send("two\n")
    await until_true(lambda: robot.lines() == ["one", "two"])


async def test_marks_that_cannot_be_kept_admit_nothing_new_and_end_what_is_old(world: World, robot: Robot) -> None:
    world.hub()
    host = world.host([robot.target]).start()
    until(host.is_linked)
    one = await flow(world, "hub-a", robot.target, world.word(host, 1, [robot.target]))
    await one.send("one\n")
    await until_true(lambda: robot.lines() == ["one"])
    marks = host.folder / "state" / "marks.json"
    marks.rename(host.folder / "kept")
    marks.mkdir()
    with pytest.raises(RefusedError, match="503 MarkNotKept"):
        await flow(world, "hub-a", robot.target, world.word(host, 2, [robot.target]))
    assert await one.ended()
    with pytest.raises(RefusedError, match="StaleEpoch"):
        await flow(world, "hub-a", robot.target, world.word(host, 1, [robot.target]))
    marks.rmdir()
    two = await opened(world, "hub-a", robot.target, world.word(host, 2, [robot.target]))
    await two.send("two\n")
    await until_true(lambda: robot.lines() == ["one", "two"])


async def test_a_word_that_could_not_be_kept_counts_at_once_and_is_kept_as_soon_as_it_can_be(
    world: World, robot: Robot
) -> None:
    world.hub()
    host = world.host([robot.target]).start()
    until(host.is_linked)
    one = await flow(world, "hub-a", robot.target, world.word(host, 1, [robot.target]))
    await one.send("one\n")
    await until_true(lambda: robot.lines() == ["one"])
    marks = host.folder / "state" / "marks.json"
    marks.unlink()
    marks.mkdir()
    world.say(host, ("begun", 3, False))
    await until_true(lambda: "marks not kept" in host.log())
    assert await one.ended()
    marks.rmdir()
    await until_true(lambda: host.marks().get(worlds.DEPLOYMENT, {}).get("epoch") == 3)
