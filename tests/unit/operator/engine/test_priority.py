"""Urgent keys go first, and hold the others up for a bounded number of turns only."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from berth_operator.engine.priority import MOST_IN_A_ROW, Lanes

STEPS = st.lists(st.one_of(st.tuples(st.integers(0, 9), st.booleans()), st.none()), max_size=200)


def test_the_first_lane_goes_first_each_lane_in_its_order() -> None:
    lanes = Lanes[str]()
    for number, (key, first) in enumerate((("a", False), ("x", True), ("b", False), ("y", True))):
        assert lanes.put(key, float(number), first=first)
    assert lanes.hurried
    assert [lanes.take() for _ in range(4)] == ["x", "y", "a", "b"]
    assert not lanes.hurried


def test_a_key_that_became_urgent_moves_up_and_keeps_its_age() -> None:
    lanes = Lanes[str]()
    lanes.put("a", 1.0, first=False)
    lanes.put("b", 2.0, first=False)
    assert not lanes.put("b", 3.0, first=True), "it waited already"
    assert not lanes.put("b", 4.0, first=False), "it does not move back"
    assert sorted(lanes.times()) == [1.0, 2.0]
    assert [lanes.take(), lanes.take()] == ["b", "a"]


@given(before=st.integers(0, 5), urgent=st.integers(1, 3))
def test_a_stream_of_urgent_keys_lets_every_other_through_within_its_bound(before: int, urgent: int) -> None:
    lanes = Lanes[int]()
    for number in range(before + 1):
        lanes.put(-number, 0.0, first=False)
    taken, following = 0, 1
    while True:
        for _ in range(urgent):
            lanes.put(following, 0.0, first=True)
            following += 1
        if lanes.take() == -before:
            break
        taken += 1
    assert taken <= (before + 1) * (MOST_IN_A_ROW + 1)


@given(steps=STEPS)
def test_no_key_is_lost_or_taken_twice(steps: list[tuple[int, bool] | None]) -> None:
    lanes, waiting = Lanes[int](), set[int]()
    for step in steps:
        if step is not None:
            key, first = step
            assert lanes.put(key, 0.0, first=first) == (key not in waiting)
            waiting.add(key)
        elif waiting:
            waiting.remove(lanes.take())
        assert len(lanes) == len(waiting)
    left = deque[int]()
    while len(lanes):
        left.append(lanes.take())
    assert sorted(left) == sorted(waiting)
