"""The store's time, told from answers."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.kube.clock import DRIFT, MOST_WIDTH, Offset, StoreClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
seconds = st.floats(0, 5)


@dataclass
class Machine:
    """A machine whose clocks go as a test says, and the store far from it; `ahead` is the store's steady lead."""

    steady: float = 100.0
    wall: float = NOON - 40
    ahead: float = NOON - 100.0
    clock: StoreClock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = StoreClock(lambda: self.steady, lambda: self.wall)

    def passes(self, seconds: float) -> None:
        self.steady += seconds
        self.wall += seconds

    def asks(self, going: float = 0.01, coming: float = 0.01) -> None:
        """One request: how long it is on its way, and its answer."""
        sent = self.steady
        self.passes(going)
        date = format_datetime(datetime.fromtimestamp(int(self.store), UTC), usegmt=True)
        self.passes(coming)
        self.clock.saw(sent, date, self.steady)

    @property
    def store(self) -> float:
        return self.steady + self.ahead

    def error(self) -> float:
        return abs(self.clock.now().timestamp() - self.store)


@given(st.floats(0, 1e5), st.floats(0, 2e9), st.lists(st.tuples(seconds, seconds, seconds), min_size=1, max_size=20))
def test_the_bounds_always_contain_the_true_offset(
    steady: float, store: float, answers: list[tuple[float, float, float]]
) -> None:
    machine = Machine(steady, NOON, store - steady)
    for waited, going, coming in answers:
        machine.passes(waited)
        machine.asks(going, coming)
        if machine.clock.is_known:
            earliest, latest = machine.clock.bounds()
            assert earliest - 1e-5 <= machine.store <= latest + 1e-5
            assert latest - earliest <= MOST_WIDTH


@given(st.lists(st.tuples(seconds, st.floats(-DRIFT / 2, DRIFT / 2)), min_size=1, max_size=20))
def test_a_store_whose_clock_is_slewed_stays_within_the_bounds(answers: list[tuple[float, float]]) -> None:
    machine = Machine()
    machine.asks()
    for waited, slew in answers:
        machine.passes(waited)
        machine.ahead += waited * slew
        earliest, latest = machine.clock.bounds()
        assert earliest - 1e-5 <= machine.store <= latest + 1e-5
        machine.asks()


@given(st.tuples(seconds, seconds, seconds, seconds))
def test_more_answers_only_narrow_what_is_known(parts: tuple[float, float, float, float]) -> None:
    one, other = Offset.of(0, 1000, parts[0]), Offset.of(parts[1], 1000 + int(parts[2]), parts[1] + parts[3])
    both = one.narrowed(other)
    assert both == other or (both.width <= min(one.width, other.width) and both.least >= one.least)


def test_a_wrong_wall_clock_changes_nothing() -> None:
    machine = Machine(wall=NOON + 3600)
    machine.asks()
    assert machine.clock.is_known
    assert machine.error() <= 1.05


def test_a_wall_clock_that_the_answers_allow_is_believed() -> None:
    machine = Machine(wall=NOON + 0.3)
    machine.asks()
    assert machine.clock.now().timestamp() == pytest.approx(machine.wall, abs=1e-5)


def test_several_answers_tell_more_than_a_second() -> None:
    machine = Machine()
    for _ in range(30):
        machine.asks()
        machine.passes(0.17)
    earliest, latest = machine.clock.bounds()
    assert latest - earliest < 0.3


def test_an_answer_that_took_too_long_tells_too_little() -> None:
    machine = Machine()
    machine.asks(1.0, 1.0)
    assert not machine.clock.is_known
    assert not machine.clock.was_known
    machine.asks()
    assert machine.clock.is_known


@pytest.mark.parametrize("date", [None, "", "yesterday", "Thu, 01 Foo 2026 12:00:00 GMT"])
def test_an_answer_without_a_time_tells_nothing(date: str | None) -> None:
    machine = Machine()
    machine.clock.saw(99.0, date, 100.0)
    assert not machine.clock.is_known
    assert machine.clock.now().timestamp() == machine.wall


@pytest.mark.parametrize("jump", [3600.0, -2.0])
def test_after_a_jump_of_the_wall_clock_nothing_is_known_until_the_next_answer(jump: float) -> None:
    """It was set, or the machine slept and the steady clock stood still: which of the two is not to be seen."""
    machine = Machine()
    machine.asks()
    machine.wall += jump
    assert not machine.clock.is_known
    machine.asks()
    assert machine.clock.is_known
    assert machine.error() <= 1.05
    assert machine.clock.was_known


def test_a_machine_that_stood_still_learns_it_from_the_next_answer() -> None:
    machine = Machine()
    machine.asks()
    machine.ahead += 120  # a hypervisor stops both clocks
    assert machine.clock.is_known
    assert machine.error() > 100
    machine.asks()
    assert machine.error() <= 1.05


def test_what_is_known_is_known_less_well_with_time() -> None:
    machine = Machine()
    machine.asks()
    machine.passes(400)
    assert machine.clock.is_known
    machine.passes(1000)
    assert not machine.clock.is_known
