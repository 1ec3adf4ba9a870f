"""Whether a keeper is there."""

from berth_operator.relays.presence import PATIENCE_SECONDS, Keeper


def test_a_keeper_that_starts_again_is_not_missed() -> None:
    keeper = Keeper()
    assert keeper.note(ready=True, now=0)
    assert keeper.is_there is True
    assert not keeper.note(ready=False, now=PATIENCE_SECONDS - 1)
    assert keeper.is_there is True
    assert keeper.note(ready=False, now=PATIENCE_SECONDS)
    assert keeper.is_there is False
    assert keeper.note(ready=True, now=PATIENCE_SECONDS + 1)


def test_one_that_was_never_seen_is_missing_at_once() -> None:
    keeper = Keeper()
    assert keeper.note(ready=False, now=0)
    assert keeper.is_there is False
    keeper.clear()
    assert keeper.is_there is None
