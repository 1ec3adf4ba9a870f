"""Public ids."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core import ids

UUID = "0190b6f4-7c3a-7e21-8f6b-2d4c5a6b7c8d"


@given(st.integers(0, 2**48 - 1))
def test_a_uuid7_has_its_version_variant_and_time(unix_ms: int) -> None:
    made = uuid.UUID(ids.uuid7(unix_ms))
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == unix_ms


@given(st.integers(0, 2**48 - 2))
def test_uuid7s_sort_by_time(unix_ms: int) -> None:
    assert ids.uuid7(unix_ms) < ids.uuid7(unix_ms + 1)


def test_uuid7s_of_one_millisecond_differ() -> None:
    assert len({ids.uuid7(1) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (UUID, True),
        (UUID.upper(), False),
        (UUID.replace("-", ""), False),
        ("{" + UUID + "}", False),
        ("misty-1", False),
        ("", False),
    ],
)
def test_only_the_canonical_form_is_an_id(text: str, expected: bool) -> None:
    assert ids.is_uuid(text) is expected


def test_a_deployment_named_by_a_uuid_has_it_as_id() -> None:
    assert ids.deployment_id("anywhere", UUID) == UUID


def test_a_deployment_made_by_hand_has_an_id_that_outlives_restore() -> None:
    made = ids.deployment_id("berth-workspaces", "misty-1")
    assert made == ids.deployment_id("berth-workspaces", "misty-1")
    assert uuid.UUID(made).version == 5
    assert made != ids.deployment_id("another", "misty-1")


def test_an_instance_made_by_hand_is_known_by_its_uid() -> None:
    assert ids.instance_id("mine", UUID) == UUID
    assert ids.instance_id(UUID, "another") == UUID
