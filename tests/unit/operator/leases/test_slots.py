"""Which slots the operator drops."""

from hypothesis import given
from hypothesis import strategies as st

from berth_core.leases.slots import KEPT_SECONDS
from berth_operator.leases.slots import SlotKey, overdue

KEYS = st.sets(st.tuples(st.sampled_from(["ada", "bob"]), st.sampled_from(["i-1", "i-2", "i-3"])))


def test_a_slot_that_was_just_seen_stays() -> None:
    first, due = overdue({("ada", "i-1")}, {}, 100.0)
    assert (first, due) == ({("ada", "i-1"): 100.0}, {})


@given(st.lists(st.tuples(st.floats(0.0, 60.0), KEYS), max_size=12))
def test_a_slot_goes_when_it_was_there_all_the_time(looks: list[tuple[float, set[SlotKey]]]) -> None:
    seen: dict[SlotKey, float] = {}
    since: dict[SlotKey, float] = {}
    now = 0.0
    for pause, present in looks:
        now += pause
        since = {key: since.get(key, now) for key in present}
        seen, due = overdue(present, seen, now)
        old = {key for key, begun in since.items() if now - begun >= KEPT_SECONDS}
        assert {(account, instance) for account, instances in due.items() for instance in instances} == old
