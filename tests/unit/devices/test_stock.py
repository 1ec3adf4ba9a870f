import asyncio
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from berth_devices.claims import cdi
from berth_devices.claims.disk import Disk
from berth_devices.claims.record import Allocated, ClaimError, Record
from berth_devices.discovery.facts import Facts, Rule
from berth_devices.discovery.inventory import present
from berth_devices.stock import Stock

from .machines import ARM, CAMERA, replugged

RULES = (Rule("tty"), Rule("video4linux"))
NAME = present([ARM])[0].name
STRANGER = replace(ARM, serial="B8", port="0000:00:14.0-usb2-9")


class Node:
    """A node's devices and its folders; each stock is a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.state, self.cdi = folder / "state", folder / "cdi"
        self.plugged: list[Facts] = [ARM]

    def stock(self) -> Stock:
        return Stock(lambda: list(self.plugged), RULES, Disk(self.state, self.cdi))

    def files(self) -> dict[str, object]:
        return {path.name: json.loads(path.read_bytes()) for path in self.cdi.iterdir()}

    def host_path(self, uid: str) -> str:
        content = self.files()[cdi.file_name(uid)]
        assert isinstance(content, dict)
        (entry,) = content["devices"]
        assert entry["name"] == f"{uid}-{NAME}"
        return str(entry["containerEdits"]["deviceNodes"][0]["hostPath"])


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def claimed(uid: str, device: str = NAME) -> Record:
    return Record(uid, "lab", f"claim-{uid}", (Allocated("device", device),))


async def test_preparing_twice_is_as_preparing_once(node: Node) -> None:
    stock = node.stock()
    await stock.prepare(claimed("u1"))
    before = {path: path.stat().st_mtime_ns for path in node.cdi.iterdir()}
    await stock.prepare(claimed("u1"))
    assert {path: path.stat().st_mtime_ns for path in node.cdi.iterdir()} == before
    assert node.host_path("u1") == "/dev/ttyUSB0"


async def test_a_second_claim_gets_no_device_that_a_first_one_has_even_after_a_restart(node: Node) -> None:
    await node.stock().prepare(claimed("u1"))
    with pytest.raises(ClaimError, match="in use by ResourceClaim lab/claim-u1"):
        await node.stock().prepare(claimed("u2"))
    assert list(node.files()) == [cdi.file_name("u1")]


async def test_unpreparing_frees_the_device_and_may_be_repeated(node: Node) -> None:
    await node.stock().prepare(claimed("u1"))
    for _ in range(2):
        await node.stock().unprepare("u1")
        assert node.files() == {}
    await node.stock().prepare(claimed("u2"))


async def test_unpreparing_needs_no_look_at_the_devices(node: Node) -> None:
    await node.stock().prepare(claimed("u1"))

    def broken() -> list[Facts]:
        raise OSError("no sysfs")

    await Stock(broken, RULES, Disk(node.state, node.cdi)).unprepare("u1")
    assert node.files() == {}


async def test_a_claim_ends_while_a_look_at_a_broken_device_takes_for_ever(node: Node) -> None:
    await node.stock().prepare(claimed("u1"))
    asked, freed = threading.Event(), threading.Event()

    def broken() -> list[Facts]:
        asked.set()
        freed.wait(30)
        return []

    stock = Stock(broken, RULES, Disk(node.state, node.cdi))
    looking = asyncio.create_task(stock.look())
    try:
        async with asyncio.timeout(10):
            assert await asyncio.to_thread(asked.wait, 10)
            await stock.unprepare("u1")
        assert not looking.done()
        assert node.files() == {}
    finally:
        freed.set()
        await looking


async def test_a_device_that_returns_at_another_node_is_in_the_same_file_under_the_same_id(node: Node) -> None:
    stock = node.stock()
    await stock.prepare(claimed("u1"))
    node.plugged = []
    await stock.look()
    assert node.files() == {}
    node.plugged = [replugged(ARM, 3)]
    await stock.look()
    assert node.host_path("u1") == "/dev/ttyUSB3"


async def test_a_device_that_took_the_node_of_an_unplugged_one_is_not_given_in_its_place(node: Node) -> None:
    stock = node.stock()
    await stock.prepare(claimed("u1"))
    node.plugged = [STRANGER]
    await stock.look()
    assert node.files() == {}
    with pytest.raises(ClaimError, match="not plugged in"):
        await stock.prepare(claimed("u1"))


async def test_nobody_gets_a_device_by_a_number_that_a_container_of_another_one_may_open(node: Node) -> None:
    stock = node.stock()
    await stock.prepare(claimed("u1"))
    node.plugged = [STRANGER]
    stranger = present([STRANGER])[0].name
    for now in (stock, node.stock()):
        with pytest.raises(ClaimError, match=f"188:0, which a container with {NAME} may open"):
            await now.prepare(claimed("u2", stranger))
        (shown,) = [device for device in now.devices if device.name == stranger]
        assert (shown.present, shown.withheld) == (False, NAME)
    # It gets another number once the first is back, and once the first claim has ended any number will do.
    node.plugged = [ARM, replugged(STRANGER, 1)]
    await stock.prepare(claimed("u2", stranger))
    await stock.unprepare("u2")
    node.plugged = [STRANGER]
    await stock.unprepare("u1")
    await stock.prepare(claimed("u2", stranger))


async def test_a_claim_keeps_every_number_that_its_containers_were_given(node: Node) -> None:
    stock = node.stock()
    await stock.prepare(claimed("u1"))
    node.plugged = [replugged(ARM, 1)]
    await stock.look()
    for number in (0, 1):
        node.plugged = [replugged(STRANGER, number)]
        stock = node.stock()
        await stock.look()
        assert not any(device.present for device in stock.devices)
    node.plugged = [ARM]  # its own number is no obstacle to itself
    await stock.prepare(claimed("u1"))


async def test_a_restart_brings_back_files_that_were_lost_and_devices_that_are_unplugged(node: Node) -> None:
    await node.stock().prepare(claimed("u1"))
    (node.cdi / cdi.file_name("u1")).unlink()
    stock = node.stock()
    await stock.look()
    assert node.host_path("u1") == "/dev/ttyUSB0"
    node.plugged = []
    stock = node.stock()
    await stock.look()
    assert [(device.name, device.present) for device in stock.devices] == [(NAME, False)]


async def test_files_of_others_stay_and_own_ones_without_a_claim_go(node: Node) -> None:
    stock = node.stock()
    (node.cdi / "vendor.json").write_text("{}")
    (node.cdi / cdi.file_name("forgotten")).write_text("{}")
    (node.cdi / f".{cdi.file_name('u9')}.tmp").write_text("{")
    await node.stock().look()
    assert [path.name for path in node.cdi.iterdir()] == ["vendor.json"]
    await stock.prepare(claimed("u1"))


async def test_a_record_that_cannot_be_read_lets_no_device_out(node: Node) -> None:
    stock = node.stock()
    await stock.prepare(claimed("u1"))
    (node.state / "claims" / "u1.json").write_text("{")
    node.plugged = [ARM, CAMERA]
    await stock.look()
    camera = present([CAMERA])[0].name
    with pytest.raises(ClaimError, match="delete the file once no pod"):
        await stock.prepare(claimed("u2", camera))
    # Nobody knows which device the first claim has, so a container of it that starts gets none.
    assert node.files() == {}
    await stock.unprepare("u1")
    await stock.prepare(claimed("u2", camera))


async def test_a_uid_that_is_a_path_touches_no_file(node: Node) -> None:
    stock = node.stock()
    with pytest.raises(ClaimError, match="no uid"):
        await stock.unprepare("../../../etc/passwd")


async def test_a_file_that_cannot_be_written_leaves_none_that_names_another_node(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = node.stock()
    await stock.prepare(claimed("u1"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    node.plugged = [replugged(ARM, 3)]
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            await stock.look()
    assert node.files() == {}
    await node.stock().look()
    assert node.host_path("u1") == "/dev/ttyUSB3"


async def test_it_says_when_devices_changed_and_not_otherwise(node: Node) -> None:
    stock = node.stock()
    await stock.look()
    assert stock.changed.is_set()
    stock.changed.clear()
    await stock.look()
    assert not stock.changed.is_set()
    node.plugged = []
    await stock.look()
    assert stock.changed.is_set()
