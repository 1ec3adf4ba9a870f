import pytest

from berth_operator.engine.clock import jump_seconds, offset_seconds

from ..samples import NOW, at


@pytest.mark.parametrize(
    ("ours", "offset"),
    [
        ((0.0, 0.1), 0.0),
        ((0.95, 1.2), 0.0),
        ((-0.2, 0.1), 0.0),
        ((7.0, 7.1), 6.0),
        ((-6.1, -6.0), -6.0),
        ((-20.0, 40.0), 0.0),
    ],
)
def test_only_what_is_certain_counts_as_an_offset(ours: tuple[float, float], offset: float) -> None:
    assert offset_seconds(at(ours[0]), NOW, at(ours[1])) == pytest.approx(offset)


def test_a_clock_that_is_set_jumps_and_time_that_passes_does_not() -> None:
    assert jump_seconds((NOW, 100.0), (at(50), 150.0)) == 0
    assert jump_seconds((NOW, 100.0), (at(3650), 150.0)) == 3600, "set forward, or a machine that slept"
    assert jump_seconds((NOW, 100.0), (at(-10), 150.0)) == -60
