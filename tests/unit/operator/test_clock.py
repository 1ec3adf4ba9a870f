import pytest

from berth_operator.clock import offset_seconds

from .making import NOW, at


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
