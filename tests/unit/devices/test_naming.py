import re
from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from berth_devices.discovery.facts import Facts, Number
from berth_devices.discovery.naming import names

from .machines import ARM, CAMERA, replugged

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=80)
FACTS = st.builds(
    Facts,
    node=TEXT,
    number=st.builds(Number, st.integers(0, 255), st.integers(0, 255)),
    subsystem=st.sampled_from(["tty", "video4linux", "hidraw", "gpio", "usb"]),
    vendor=st.sampled_from(["", "0403"]),
    product=st.sampled_from(["", "6001"]),
    serial=st.one_of(st.sampled_from(["", "0001"]), TEXT),
    port=st.sampled_from(["", "a-1", "a-2"]),
    unit=st.sampled_from(["", "00"]),
    index=st.sampled_from(["", "0"]),
    devpath=TEXT,
)


@given(st.lists(FACTS, max_size=8, unique=True), st.randoms())
def test_each_device_has_a_label_of_its_own_in_whatever_order_devices_come(
    devices: list[Facts], random: Random
) -> None:
    given = names(devices)
    shuffled = list(devices)
    random.shuffle(shuffled)
    assert names(shuffled) == given
    assert set(given) == set(devices)
    assert len(set(given.values())) == len(devices)
    assert all(LABEL.fullmatch(name) for name in given.values())


@given(st.integers(0, 255), TEXT)
def test_a_device_with_a_serial_number_keeps_its_name_at_another_node_and_port(number: int, port: str) -> None:
    (name,) = names([ARM]).values()
    (again,) = names([replace(replugged(ARM, number), port=port)]).values()
    assert again == name


@given(st.integers(0, 255))
def test_a_device_without_a_serial_number_keeps_its_name_at_the_same_port_only(number: int) -> None:
    (name,) = names([CAMERA]).values()
    moved = replugged(CAMERA, number)
    assert list(names([moved]).values()) == [name]
    assert list(names([replace(moved, port="0000:00:14.0-usb2-3")]).values()) != [name]


def test_devices_that_share_a_serial_number_are_told_apart_by_their_ports() -> None:
    twin = replace(replugged(ARM, 1), port="0000:00:14.0-usb2-4")
    together = names([ARM, twin])
    assert len(set(together.values())) == 2
    assert (
        together[ARM] == names([replugged(ARM, 7), replace(twin, node="/dev/ttyUSB0", devpath="/z")])[replugged(ARM, 7)]
    )
    # Nothing takes a twin for the device that was alone under this serial number.
    assert names([ARM])[ARM] not in together.values()


def test_a_name_shows_kind_and_serial_number() -> None:
    assert re.fullmatch(r"serial-a7-[0-9a-f]{8}", names([ARM])[ARM])
    assert names([CAMERA])[CAMERA].startswith("camera-0000-00-14-0-usb2-2-")
