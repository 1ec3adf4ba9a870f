"""Reservations that wait, and their order."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core import ids
from berth_core.kube.model import timestamp
from berth_core.queue.order import Queues, eta, positions, queued, turn, waits
from berth_core.resources import Reservation

from .samples import CREATED, deployment, held, reservation

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
TYPES = {"one": "arm", "two": "arm", "three": "leg"}


def type_of(_namespace: str, name: str) -> str | None:
    return TYPES.get(name)


def waiting(name: str, made_ms: int = NOON_MS, namespace: str = "lab", version: int = 0, **spec: Any) -> Reservation:
    """A reservation that the cluster made at a time; the cluster counts whole seconds, and versions without end."""
    created = timestamp(datetime.fromtimestamp(made_ms // 1000, UTC))
    found = reservation(name, **({"workspaceType": "arm"} | spec if "deployments" not in spec else spec))
    of_the_cluster = {"creation_timestamp": created, "namespace": namespace, "resource_version": str(version or "")}
    return found.model_copy(update={"metadata": found.metadata.model_copy(update=of_the_cluster)})


def shown(one: Reservation, later: int = 0) -> Reservation:
    """The reservation after the operator's first write, at a version that is so much later."""
    status = one.status.model_copy(update={"queued": queued(one.metadata)})
    version = str(int(one.metadata.resource_version) + later)
    metadata = one.metadata.model_copy(update={"resource_version": version})
    return one.model_copy(update={"metadata": metadata, "status": status})


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


def test_the_higher_priority_goes_first_then_the_earlier_second_then_the_lower_version() -> None:
    important = waiting("z", NOON_MS + 5000, version=9, priority=1)
    line = [important, waiting("y", version=7), waiting("a", version=8), waiting("b", NOON_MS + 2000, version=3)]
    backwards = line[::-1]
    backwards.sort(key=turn)
    assert backwards == line


@pytest.mark.parametrize("seconds", [-3600, -10, 3, 3600])
@pytest.mark.parametrize("form", [str, lambda name: name.replace("-", "")])
def test_no_name_moves_anybody(seconds: int, form: Callable[[str], str]) -> None:
    """Neither one of a replica whose clock is wrong, nor one that somebody chose, with hyphens or without."""
    named = waiting(form(ids.uuid7(NOON_MS + seconds * 1000)), version=2)
    assert turn(waiting("before", version=1)) < turn(named) < turn(waiting("after", version=3))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50), st.booleans()), min_size=2, max_size=8))
def test_who_came_first_stays_first_however_far_their_statuses_have_come(steps: list[tuple[int, int, bool]]) -> None:
    """`steps`: seconds that pass before each comes, writes that others make meanwhile, whether its status is there."""
    line, seconds, version = list[Reservation](), 0, 1
    for number, (passed, writes, has_status) in enumerate(steps):
        seconds, version = seconds + passed, version + writes + 1
        came = waiting(f"r-{len(steps) - number}", NOON_MS + seconds * 1000, version=version)
        line.append(shown(came, later=500) if has_status else came)
    backwards = line[::-1]
    backwards.sort(key=turn)
    assert backwards == line


def test_a_change_of_a_waiter_without_a_status_moves_nobody_but_it_and_only_back() -> None:
    first, second = waiting("first", version=1), waiting("second", version=2)
    changed = waiting("first", version=3)
    assert turn(first) < turn(second) < turn(changed)
    assert turn(shown(first, later=2)) == turn(first)


offsets = st.integers(0, 20_000)
targets = st.one_of(
    st.sampled_from(["arm", "leg"]).map(lambda t: {"workspaceType": t}),
    st.lists(st.sampled_from(["one", "two", "three", "gone"]), min_size=1, max_size=3).map(
        lambda found: {"deployments": found}
    ),
)
reservations = st.builds(
    lambda offset, priority, namespace, version, number, target: waiting(
        f"r-{number}", NOON_MS + offset, namespace, version, priority=priority, **target
    ),
    offsets,
    st.integers(-1, 1),
    st.sampled_from(["lab", "elsewhere"]),
    st.integers(1, 5),
    st.integers(0, 10**6),
    targets,
)
lines = st.lists(reservations, max_size=12, unique_by=lambda r: (r.metadata.namespace, r.metadata.name))


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


@given(lines, reservations)
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
