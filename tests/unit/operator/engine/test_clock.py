from datetime import UTC, datetime
from email.utils import format_datetime
from typing import cast

import pytest

from berth_core.kube.client import Client
from berth_core.kube.clock import StoreClock
from berth_operator.engine.clock import Clock, jump_seconds, offset_seconds

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


class Server:
    """An API server whose clock goes as ours does."""

    async def server_date(self) -> str:
        return format_datetime(datetime.now(UTC), usegmt=True)


async def test_after_a_small_jump_nothing_is_due_until_the_store_has_answered() -> None:
    wall = 100.0
    store = StoreClock(steady=lambda: 0.0, wall=lambda: wall)
    clock = Clock(store)
    await clock.compare(cast(Client, Server()))
    assert not clock.trusted, "nothing is known of the store's time"
    store.saw(0.0, await Server().server_date(), 0.1)
    assert clock.trusted
    wall += 4.0
    assert not clock.trusted, "one of two clocks was set"
    store.saw(0.2, await Server().server_date(), 0.3)
    assert clock.trusted
