"""Devices that drivers offer, and what the equalities in a selector prove of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.kube.types import Object
from berth_core.machines.devices import Device, Sight, fits, joined, not_given, offer, selection_of, sight
from berth_core.machines.selectors import Equality, Literal, Selection, read
from berth_core.resources.machines.devices import MachineDevice

DRIVER = "devices.berth.dev"
CLASS: Object = {"spec": {"selectors": [{"cel": {"expression": f'device.driver == "{DRIVER}"'}}]}}


def by_serial(serial: str) -> str:
    return f'device.attributes["{DRIVER}"].?serial.orValue("") == "{serial}"'


def arm(*expressions: str) -> MachineDevice:
    selectors = [{"cel": {"expression": one}} for one in expressions]
    return MachineDevice.model_validate({"name": "arm", "deviceClassName": "arms", "selectors": selectors})


def slice_of(*devices: Object, pool: str = "node-1", generation: int = 1, count: int = 1) -> Object:
    about = {"name": pool, "generation": generation, "resourceSliceCount": count}
    return {"spec": {"driver": DRIVER, "pool": about, "devices": list(devices)}}


def stored(value: Literal) -> Object:
    kinds: dict[type, str] = {str: "string", bool: "bool", int: "int"}
    return {kinds[type(value)]: value}


def entry(name: str, serial: str, taint: str = "") -> Object:
    taints = [{"key": "unplugged", "effect": taint}] if taint else []
    return {"name": name, "attributes": {"serial": stored(serial)}, "taints": taints}


def seen(device: MachineDevice, *slices: Object) -> Sight:
    return sight(device, selection_of(device, CLASS), offer(slices))


@pytest.mark.parametrize(
    ("expression", "equalities", "whole"),
    [
        (f'device.driver == "{DRIVER}"', [("", "", DRIVER, None)], True),
        ("'x' == device.driver", [("", "", "x", None)], True),
        (by_serial("A7"), [(DRIVER, "serial", "A7", "")], True),
        (
            'device.attributes["d"].n == -5 && device.attributes["d"].b==true',
            [("d", "n", -5, None), ("d", "b", True, None)],
            True,
        ),
        ('(device.driver == "x" && (device.driver == "y"))', [("", "", "x", None), ("", "", "y", None)], True),
        ('device.driver == "a && b || c"', [("", "", "a && b || c", None)], True),
        ('device.driver == "x" && device.attributes["d"].n > 3', [("", "", "x", None)], False),
        ('device.driver == "x" && (device.driver == "a" || device.driver == "b")', [("", "", "x", None)], False),
        ('device.driver == "x" || device.driver == "y"', [], False),
        ('device.driver == "x" ? true : false', [], False),
        ('!(device.driver == "x")', [], False),
        ('(device.driver == "x") == false', [], False),
        ('device.driver == "x" == false', [], False),
        ('"""a" && device.driver == "x" && "b"""  == device.driver', [], False),
        ('device.driver == "x" // && device.driver == "y"', [], False),
        (r'device.driver == "a\" && device.driver == \"b"', [], False),
        ('["device.driver == \'x\'"].all(e, device.driver == "x") && true', [], False),
        ("", [], False),
    ],
)  # fmt: skip
def test_equalities_are_read_and_what_else_there_is_stays_unread(
    expression: str, equalities: list[tuple[str, str, Literal, Literal | None]], whole: bool
) -> None:
    assert read(expression) == Selection(tuple(Equality(*one) for one in equalities), whole)


words = st.text(st.characters(codec="ascii", exclude_characters="\"'\\\n\r", exclude_categories=["Cc"]), max_size=8)
literals = st.one_of(words.filter(lambda text: "//" not in text), st.integers(-9, 9), st.booleans())
names = st.sampled_from(["serial", "kind", "port"])
equalities = st.builds(Equality, st.just(DRIVER), names, literals, st.none() | literals)


def written(one: Equality) -> str:
    def literal(value: Literal) -> str:
        return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)

    optional = "" if one.default is None else "?"
    default = "" if one.default is None else f".orValue({literal(one.default)})"
    return f'device.attributes["{one.domain}"].{optional}{one.name}{default} == {literal(one.value)}'


@given(st.lists(equalities, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_any_conjunction_of_equalities_is_read_back(parts: list[Equality], draw: Any) -> None:
    text = [f"({one})" if draw.random() < 0.3 else one for one in map(written, parts)]
    blank = draw.choice(["", " ", "\n  "])
    assert read(f"{blank}&&{blank}".join(text)) == Selection(tuple(parts))


devices = st.builds(
    Device,
    st.just(DRIVER),
    st.just("node-1"),
    words,
    st.dictionaries(st.tuples(st.just(DRIVER), names), literals, max_size=3),
)


@given(devices, st.lists(equalities, max_size=3), st.booleans())
def test_a_device_fits_only_where_each_equality_holds_and_is_excluded_only_where_one_does_not(
    device: Device, parts: list[Equality], whole: bool
) -> None:
    def holds(one: Equality) -> bool:
        value = device.attributes.get((one.domain, one.name), one.default)
        return value is not None and type(value) is type(one.value) and value == one.value

    every = all(holds(one) for one in parts)
    assert fits(device, Selection(tuple(parts), whole)) is (False if not every else True if whole else None)


@given(st.lists(devices, max_size=6), st.lists(equalities, max_size=3))
def test_candidates_leave_out_no_device_that_fits(offered: list[Device], parts: list[Equality]) -> None:
    def shown(device: Device) -> Object:
        values = {name: stored(value) for (_, name), value in device.attributes.items() if value is not None}
        return {"name": device.name, "attributes": values}

    made = offer([slice_of(*map(shown, offered))])
    selection = Selection(tuple(parts))
    fitting = [one for one in made.devices if fits(one, selection)]
    assert [one for one in made.candidates(selection) if fits(one, selection)] == fitting


def test_one_device_that_fits_is_found_and_none_or_a_tainted_one_is_missing() -> None:
    seven, eight = entry("usb-7", "A7"), entry("usb-8", "B8")
    assert seen(arm(by_serial("A7")), slice_of(seven, eight)) == ("DevicesFound", f"arm is {DRIVER}/node-1/usb-7")
    missing = seen(arm(by_serial("A7")), slice_of(eight))
    assert missing.reason == "DeviceMissing"
    assert by_serial("A7") in missing.message
    assert seen(arm(by_serial("A7"))).reason == "DeviceMissing"
    assert "unplugged" in seen(arm(by_serial("A7")), slice_of(entry("usb-7", "A7", "NoSchedule"), eight)).message
    assert seen(arm(by_serial("A7")), slice_of(entry("usb-7", "A7", "None"))).reason == "DevicesFound"


def test_two_devices_that_fit_are_ambiguous_on_one_node_or_on_two() -> None:
    for slices in (
        [slice_of(entry("a", "A7"), entry("b", "A7"))],
        [slice_of(entry("a", "A7")), slice_of(entry("b", "A7", "NoSchedule"), pool="node-2")],
    ):
        shown = seen(arm(by_serial("A7")), *slices)
        assert shown.reason == "DeviceAmbiguous"
        assert "/a" in shown.message
        assert "/b" in shown.message
    assert seen(arm(), slice_of(entry("a", "A7"), entry("b", "B8"))).reason == "DeviceAmbiguous", "by the class alone"


def test_what_is_not_read_proves_absence_and_neither_presence_nor_ambiguity() -> None:
    unread = f'{by_serial("A7")} && device.attributes["{DRIVER}"].port > 3'
    for slices in ([slice_of(entry("a", "A7"))], [slice_of(entry("a", "A7"), entry("b", "A7"))]):
        assert seen(arm(unread), *slices).reason == "NotProven"
        assert seen(arm(unread), *slices).fault is None
    assert seen(arm(unread), slice_of(entry("b", "B8"))).reason == "DeviceMissing"


def test_a_value_that_is_not_compared_here_proves_nothing() -> None:
    versioned = {"name": "a", "attributes": {"serial": {"version": "1.0.0"}}}
    assert seen(arm(by_serial("1.0.0")), slice_of(versioned)).reason == "NotProven"


def test_an_attribute_of_another_domain_counts_by_its_full_name() -> None:
    other = {"name": "a", "attributes": {"x.test/serial": {"string": "A7"}, "serial": {"string": "B8"}}}
    assert seen(arm('device.attributes["x.test"].serial == "A7"'), slice_of(other)).reason == "DevicesFound"
    assert seen(arm(by_serial("A7")), slice_of(other)).reason == "DeviceMissing"


def test_of_a_pool_its_newest_generation_counts_and_it_is_complete_with_all_its_slices() -> None:
    old, new = slice_of(entry("a", "A7"), generation=1), slice_of(entry("b", "B8"), generation=2)
    assert [one.name for one in offer([old, new]).devices] == ["b"]
    assert offer([old, new]).complete
    assert not offer([slice_of(entry("a", "A7"), count=2)]).complete
    assert offer([]).complete


def test_the_verdict_on_several_devices_is_the_first_fault_of_any() -> None:
    found, unclear, twice, gone = (
        Sight(reason, reason.lower()) for reason in ("DevicesFound", "NotProven", "DeviceAmbiguous", "DeviceMissing")
    )
    assert joined([found, unclear]) == unclear
    assert joined([found, twice, unclear, gone]) == gone
    assert joined([found, twice]).fault is not None
    assert joined([found, found]) == ("DevicesFound", "devicesfound; devicesfound")


def test_a_lease_that_got_no_device_says_which_one_and_a_long_selector_is_cut() -> None:
    message = not_given([arm(by_serial("A7"))], "0/2 nodes are available")
    for part in ("the device arm", "class arms", by_serial("A7"), "0/2 nodes are available"):
        assert part in message
    assert len(not_given([arm("x" * 4096)] * 8, "y")) < 4096, "status.message has a bound"
