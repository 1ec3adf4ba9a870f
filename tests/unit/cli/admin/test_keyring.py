"""Which key signs, and what rotations make of the Secret."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_cli.admin.keys import keyring
from berth_cli.admin.keys.keyring import SPREAD, Keyring, signer
from berth_cli.ui.errors import CliError
from berth_core.kube.types import Object

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def secret(*kids: str, **annotations: str) -> Object:
    data = {f"{kid}.pem": base64.b64encode(f"key {kid}".encode()).decode() for kid in kids}
    said = {f"berth.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return {"metadata": {"annotations": said, "resourceVersion": "7"}, "data": data}


def applied(obj: Object, patch: Object) -> Object:
    """Apply a merge patch (RFC 7396) to the parts that a Keyring reads."""
    said = obj["metadata"]["annotations"] | patch["metadata"]["annotations"]
    data = obj["data"] | patch["data"]
    kept = {"annotations": {k: v for k, v in said.items() if v is not None}, "resourceVersion": "7"}
    return {"metadata": kept, "data": {k: v for k, v in data.items() if v is not None}}


def ring(*kids: str, **annotations: str) -> Keyring:
    return Keyring.parse(secret(*kids, **annotations))


def test_the_annotation_names_who_signs() -> None:
    assert signer(ring("a", "b", active_kid="b"), NOW) == "b"
    assert ring("a", "b").held["b"] == b"key b"


def test_a_single_key_needs_no_annotation() -> None:
    assert signer(ring("a"), NOW) == "a"


@pytest.mark.parametrize(
    ("held", "choices"),
    [(ring("a", "b"), "a, b"), (ring("a", active_kid="c"), "one of: a"), (ring(), "holds none")],
)
def test_otherwise_the_error_lists_what_there_is(held: Keyring, choices: str) -> None:
    with pytest.raises(CliError, match=choices):
        signer(held, NOW)


@pytest.mark.parametrize(
    ("annotations", "who"),
    [
        ({"next_kid": "b"}, "a"),
        ({"next_kid": "b", "next_from": "2026-05-01T00:00:01Z"}, "a"),
        ({"next_kid": "b", "next_from": "2026-05-01T00:00:00Z"}, "b"),
        ({"next_kid": "b", "next_from": "2026-05-01T01:00:00+02:00"}, "b"),
        ({"next_kid": "gone", "next_from": "2026-05-01T00:00:00Z"}, "a"),
    ],
)
def test_the_next_key_signs_when_its_time_has_come(annotations: dict[str, str], who: str) -> None:
    assert signer(ring("a", "b", active_kid="a", **annotations), NOW) == who


@pytest.mark.parametrize(
    "annotations",
    [{"next_from": "noon"}, {"next_from": "2026-05-01T00:00:00"}, {"keys_since": "{"}, {"keys_since": '{"a": 1}'}],
)
def test_a_damaged_annotation_is_named(annotations: dict[str, str]) -> None:
    with pytest.raises(CliError, match=f"berth.dev/{next(iter(annotations)).replace('_', '-')}"):
        ring("a", **annotations)


def test_a_rotation_under_way_goes_on_with_its_own_key() -> None:
    begun = keyring.with_next(ring("a"), "b", b"key b", NOW)
    assert (begun.active, begun.next, begun.next_from) == ("a", "b", None)
    assert keyring.with_next(begun, "c", b"key c", NOW) == begun


def test_a_key_that_was_published_only_now_waits_anew() -> None:
    waiting = keyring.timed(keyring.with_next(ring("a"), "b", b"key b", NOW), "b", NOW, renew=False, at_once=False)
    assert waiting.next_from == NOW + SPREAD
    later = NOW + timedelta(minutes=1)
    assert keyring.timed(waiting, "b", later, renew=False, at_once=False) == waiting
    assert keyring.timed(waiting, "b", later, renew=True, at_once=False).next_from == later + SPREAD


def test_the_key_that_signs_cannot_be_removed() -> None:
    held = ring("a", "b", active_kid="a", next_kid="b", next_from="2026-05-01T00:00:00Z")
    with pytest.raises(CliError, match="berth key rotate"):
        keyring.without(held, "b", NOW)
    with pytest.raises(CliError, match="berth key rotate"):
        keyring.without(held, "a", NOW - SECOND)
    assert keyring.without(held, "a", NOW).active == "b"


def test_removing_the_next_key_ends_its_rotation() -> None:
    left = keyring.without(ring("a", "b", active_kid="a", next_kid="b"), "b", NOW)
    assert (left.active, left.next, set(left.held)) == ("a", None, {"a"})


def test_the_list_begins_with_the_key_that_signs_and_then_the_next() -> None:
    since = '{"a": "2026-01-01T00:00:00Z", "b": "2026-04-30T00:00:00Z", "old": "2025-01-01T00:00:00Z"}'
    times = {"next_kid": "b", "next_from": "2026-05-01T00:00:01Z", "keys_since": since}
    rows = keyring.rows(ring("b", "a", "old", active_kid="a", **times), frozenset({"a", "foreign"}), NOW)
    assert [(row.kid, row.signs, row.signs_from, row.verifies, row.held) for row in rows] == [
        ("a", True, None, True, True),
        ("b", False, "2026-05-01T00:00:01Z", False, True),
        ("old", False, None, False, True),
        ("foreign", False, None, True, False),
    ]


@given(st.lists(st.sampled_from(["begin", "publish", "time", "remove", "wait 70 s"]), max_size=40))
def test_no_key_signs_before_it_was_published_for_long_enough(steps: list[str]) -> None:
    """Whatever is cut off where, and whoever comes in between; through the patches, as the API server applies them."""
    now, stored, made = NOW, secret("k0"), 0
    published: dict[str, datetime] = {"k0": NOW - SPREAD}
    for step in steps:
        before = Keyring.parse(stored)
        after = before
        if step == "begin":
            made += 1
            after = keyring.with_next(before, f"k{made}", b"pem", now)
        elif step == "publish":
            published |= {kid: now for kid in before.held if kid not in published}
        elif step == "time" and before.next in published:
            after = keyring.timed(before, str(before.next), now, renew=False, at_once=False)
        elif step == "remove":
            for kid in sorted(before.held.keys() - {signer(before, now)}):
                after = keyring.without(replace(after, version=before.version), kid, now)
                published.pop(kid, None)
        else:
            now += timedelta(seconds=70)
        stored = applied(stored, keyring.change(before, after))
        assert Keyring.parse(stored) == after
        assert now - published[signer(after, now)] >= SPREAD


def test_the_change_is_a_compare_and_swap_of_what_changed() -> None:
    before = ring("a", active_kid="a")
    patch: dict[str, Any] = keyring.change(before, keyring.with_next(before, "b", b"pem", NOW))
    assert patch["metadata"]["resourceVersion"] == "7"
    assert patch["data"] == {"b.pem": base64.b64encode(b"pem").decode()}
