"""Who waits for what, and in which order."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from berth_core import ids
from berth_core.model import timestamp
from berth_core.queue import NAMED_BEFORE_MADE_MS, Queues, eta, positions, turn, waits
from berth_core.resources import Reservation

from .samples import CREATED, deployment, held, reservation

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
TYPES = {"one": "arm", "two": "arm", "three": "leg"}


def type_of(_namespace: str, name: str) -> str | None:
    return TYPES.get(name)


def waiting(name: str, made_ms: int = NOON_MS, namespace: str = "lab", **spec: Any) -> Reservation:
    """A reservation that the cluster made at a time; the cluster counts whole seconds."""
    created = timestamp(datetime.fromtimestamp(made_ms // 1000, UTC))
    found = reservation(name, **({"workspaceType": "arm"} | spec if "deployments" not in spec else spec))
    metadata = found.metadata.model_copy(update={"creation_timestamp": created, "namespace": namespace})
    return found.model_copy(update={"metadata": metadata})


def named_at(offset_ms: int, **spec: Any) -> Reservation:
    """A reservation as the API makes it, some milliseconds after noon."""
    return waiting(ids.uuid7(NOON_MS + offset_ms), NOON_MS + offset_ms, **spec)


def test_reservations_for_the_type_and_for_lists_with_the_deployment_count() -> None:
    one, two = deployment("one"), deployment("two", status=held())
    queues = Queues(
        [
            reservation("a", workspaceType="arm"),
            reservation("b", deployments=["one", "two", "one"]),
            reservation("c", deployments=["two"]),
            reservation("d", workspaceType="leg"),
        ]
    )
    assert queues.applying(one) == 2
    assert queues.length(one) == 3
    assert queues.length(two) == 4


def test_nobody_waits_and_nobody_has_it() -> None:
    assert Queues([]).length(deployment("one")) == 0
    assert Queues([]).length(deployment("one", status=held())) == 1


def test_a_reservation_whose_turn_has_come_counts_no_more() -> None:
    granted = {"grant": {"deployment": "one", "epoch": 1, "instance": "i"}}
    fulfilled = {"type": "Fulfilled", "status": "True", "reason": "Made", "lastTransitionTime": CREATED}
    queues = Queues(
        [
            reservation("a", workspaceType="arm", status=granted),
            reservation("b", workspaceType="arm", status={"conditions": [fulfilled]}),
        ]
    )
    assert queues.length(deployment("one")) == 0


def test_a_type_of_another_namespace_is_another_type() -> None:
    queues = Queues([waiting("a", namespace="elsewhere"), waiting("b", namespace="elsewhere", deployments=["one"])])
    assert queues.applying(deployment("one")) == 0


def test_the_higher_priority_goes_first_then_the_greater_age_then_the_name() -> None:
    late_but_important = named_at(5000, priority=1)
    first, second = named_at(100), named_at(101)
    by_hand = [waiting("b", NOON_MS + 2000), waiting("a", NOON_MS + 2000)]
    in_order = sorted([second, *by_hand, late_but_important, first], key=turn)
    assert in_order == [late_but_important, first, second, by_hand[1], by_hand[0]]


def test_nobody_gets_far_ahead_by_choosing_a_name() -> None:
    forged = waiting("00000000-0000-7000-8000-000000000000", NOON_MS + NAMED_BEFORE_MADE_MS + 1000)
    assert turn(named_at(0)) < turn(forged)
    # A name of the future harms nobody but its owner.
    assert turn(named_at(0)) < turn(waiting("ffffffff-ffff-7fff-bfff-ffffffffffff"))


offsets = st.integers(0, 20_000)
targets = st.one_of(
    st.sampled_from(["arm", "leg"]).map(lambda t: {"workspaceType": t}),
    st.lists(st.sampled_from(["one", "two", "three", "gone"]), min_size=1, max_size=3).map(
        lambda found: {"deployments": found}
    ),
)
queued = st.builds(
    lambda offset, priority, namespace, by_api, number, target: waiting(
        ids.uuid7(NOON_MS + offset) if by_api else f"r-{number}",
        NOON_MS + offset,
        namespace,
        priority=priority,
        **target,
    ),
    offsets,
    st.integers(-1, 1),
    st.sampled_from(["lab", "elsewhere"]),
    st.booleans(),
    st.integers(0, 10**6),
    targets,
)
lines = st.lists(queued, max_size=12, unique_by=lambda r: (r.metadata.namespace, r.metadata.name))


def share(one: Reservation, other: Reservation) -> bool:
    """Whether a deployment could serve both, from the definition."""
    if one.metadata.namespace != other.metadata.namespace:
        return False

    def served_by(r: Reservation) -> set[str]:
        names = set(r.spec.deployments or ())
        return names | {name for name, kind in TYPES.items() if kind == r.spec.workspace_type}

    return bool(served_by(one) & served_by(other))


@given(lines, st.randoms(use_true_random=False))
def test_a_position_counts_those_ahead_that_wait_for_the_same_things(line: list[Reservation], random: Any) -> None:
    expected = {
        (r.metadata.namespace, r.metadata.name): 1 + sum(turn(o) < turn(r) and share(r, o) for o in line) for r in line
    }
    random.shuffle(line)
    assert positions(line, type_of) == expected


@given(lines, queued)
def test_a_newcomer_of_no_higher_priority_and_no_greater_age_moves_nobody_back(
    line: list[Reservation], newcomer: Reservation
) -> None:
    before = positions(line, type_of)
    last = max(map(turn, line), default=None)
    if last is not None and turn(newcomer) <= last:
        return
    after = positions([*line, newcomer], type_of)
    assert {key: after[key] for key in before} == before


@given(lines)
def test_the_order_is_total(line: list[Reservation]) -> None:
    in_one_place = [r for r in line if r.metadata.namespace == "lab"]
    assert len({turn(r) for r in in_one_place}) == len(in_one_place)


def test_those_whose_turn_has_come_have_no_position() -> None:
    served = reservation("a", workspaceType="arm", status={"grant": {"deployment": "one", "epoch": 1, "instance": "i"}})
    assert not waits(served)
    mine = waiting("b")
    assert positions([served, mine], type_of) == {("lab", "b"): 1}


def test_the_turn_comes_with_the_end_of_the_lease_that_is_left_for_one() -> None:
    ends = ["2026-01-01T12:30:00Z", "2026-01-01T12:10:00Z"]
    assert [eta(n, ends) for n in (1, 2, 3)] == ["2026-01-01T12:10:00Z", "2026-01-01T12:30:00Z", None]
    assert [eta(n, [*ends, None]) for n in (1, 2)] == [None, "2026-01-01T12:10:00Z"]
    assert eta(1, []) is None
