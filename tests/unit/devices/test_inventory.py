from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from berth_devices.discovery.facts import Facts, Number, Rule, admitted
from berth_devices.discovery.inventory import (
    ATTRIBUTES,
    LONGEST_VALUE,
    MOST_REMEMBERED,
    Device,
    bounded,
    present,
    remembered,
)

from .machines import ARM, ARM_ON_USB, CAMERA, CONSOLE, pty, replugged
from .test_naming import FACTS

TTY, VIDEO, USB = Rule("tty"), Rule("video4linux"), Rule("usb")


@given(st.lists(FACTS, max_size=6, unique=True))
def test_every_device_has_every_attribute_within_the_bounds_of_kubernetes(devices: list[Facts]) -> None:
    for device in present(devices):
        assert tuple(device.attributes) == ATTRIBUTES
        assert all(len(value.encode()) <= LONGEST_VALUE for value in device.attributes.values())


@given(st.text(min_size=0, max_size=200), st.text(min_size=0, max_size=200))
def test_two_texts_stay_two_when_they_are_cut(one: str, other: str) -> None:
    assert (bounded(one) == bounded(other)) == (one == other)


def test_a_device_has_what_the_kernel_tells_of_it() -> None:
    (device,) = present([ARM])
    assert device.attributes == {
        "vendor": "0403",
        "product": "6001",
        "serial": "A7",
        "path": "/dev/serial/by-id/usb-FTDI_FT232R_A7-if00-port0",
        "subsystem": "tty",
        "kind": "serial",
    }
    assert (device.node, device.path, device.present) == ("/dev/ttyUSB0", "/dev/ttyUSB0", True)


def test_the_path_is_one_that_fits_and_never_a_piece_of_one() -> None:
    long = f"/dev/serial/by-id/{'x' * LONGEST_VALUE}"
    (by_path,) = present([replace(ARM, links=(long, *ARM.links[1:]))])
    assert by_path.attributes["path"] == ARM.links[1]
    (by_node,) = present([replace(ARM, links=(long,))])
    assert by_node.attributes["path"] == "/dev/ttyUSB0"


def test_nothing_is_offered_that_no_rule_names() -> None:
    assert admitted([ARM, CAMERA, CONSOLE, ARM_ON_USB], []) == []
    assert admitted([ARM, CAMERA], [TTY]) == [ARM]
    assert admitted([ARM, CAMERA], [Rule("tty", vendor="2341"), Rule("video4linux", serial="x")]) == []
    assert admitted([ARM, CAMERA], [Rule("tty", vendor="0403", product="6001", serial="A7")]) == [ARM]


def test_consoles_and_built_in_ports_of_the_node_are_never_offered() -> None:
    built_in = Facts(node="/dev/ttyS0", number=Number(4, 64), subsystem="tty", devpath="/devices/pnp0/00:03/tty/ttyS0")
    assert admitted([CONSOLE, built_in], [TTY]) == []


def test_a_usb_device_is_not_offered_beside_its_own_serial_port() -> None:
    assert admitted([ARM, ARM_ON_USB], [TTY, USB]) == [ARM]
    assert admitted([ARM, ARM_ON_USB], [USB]) == [ARM_ON_USB]
    listed = replace(pty("/dev/arm", 0, "A7"), node=ARM.node, number=ARM.number)
    assert admitted([ARM, ARM_ON_USB, listed], [USB]) == [listed]


def test_a_device_that_a_list_names_is_offered_once() -> None:
    listed = replace(pty("/dev/arm", 0, "A7"), node=ARM.node, number=ARM.number)
    again = replace(listed, links=("/dev/arm-too",), port="/dev/arm-too")
    assert admitted([again, ARM, listed], [TTY]) == [listed]


@given(st.lists(FACTS, max_size=8, unique=True), st.sampled_from([[TTY], [TTY, VIDEO, USB], [USB]]))
def test_no_number_is_offered_twice(devices: list[Facts], rules: list[Rule]) -> None:
    numbers = [facts.number for facts in admitted(devices, rules)]
    assert len(set(numbers)) == len(numbers)


def test_an_unplugged_device_is_remembered_until_it_returns() -> None:
    before = present([ARM, CAMERA])
    now = present([CAMERA])
    (gone,) = remembered(before, now, ())
    assert gone == replace(next(one for one in before if one.node == ARM.node), present=False)
    assert remembered([gone, *now], present([replugged(ARM, 5), CAMERA]), ()) == []


@given(st.integers(0, 80), st.sets(st.integers(0, 79)))
def test_the_latest_unplugged_devices_are_remembered_and_every_one_with_a_claim(count: int, claimed: set[int]) -> None:
    before = [Device(f"d{number}", {}, "", "", 1, number) for number in range(count)]
    held = {f"d{number}" for number in claimed}
    kept = [device.name for device in remembered(before, (), held)]
    others = [device.name for device in before if device.name not in held]
    assert [name for name in kept if name not in held] == others[-MOST_REMEMBERED:]
    assert held & {device.name for device in before} <= set(kept)
    assert len(kept) <= MOST_REMEMBERED + len(held)


@given(st.lists(FACTS, max_size=4, unique=True))
def test_a_remembered_device_comes_back_from_disk_as_it_was_but_unplugged(devices: list[Facts]) -> None:
    for device in present(devices):
        assert Device.from_json(device.as_json()) == replace(device, present=False)
