"""The connector's fence against a plain account of what every stream may do."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from berth_connector import fence
from berth_connector.fence import Admitted, Mark, Refused

EPOCHS = st.integers(1, 6)
MARKS = st.none() | st.builds(
    lambda epoch, over, moved, owed: Mark(epoch, over, moved or owed, owed),
    EPOCHS, st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip


def epoch_of(mark: Mark | None) -> int:
    return mark.epoch if mark is not None else 0


@given(MARKS, EPOCHS)
def test_no_decision_lowers_the_highest_epoch(mark: Mark | None, epoch: int) -> None:
    decision = fence.admit(mark, epoch)
    assert epoch_of(decision.mark) == max(epoch_of(mark), epoch)
    for after in (fence.announced(mark, epoch), fence.ended(mark, epoch)):
        assert after is None or epoch_of(after) == epoch >= epoch_of(mark)
    if mark is not None:
        assert epoch_of(fence.lost(mark) or mark) == epoch_of(fence.rested(mark)) == mark.epoch


@given(MARKS, EPOCHS)
def test_a_stream_is_admitted_only_in_the_highest_epoch_that_is_not_over_and_at_rest(
    mark: Mark | None, epoch: int
) -> None:
    decision = fence.admit(mark, epoch)
    may = epoch > epoch_of(mark) or (mark is not None and epoch == mark.epoch and not mark.over)
    assert isinstance(decision, Admitted) == (may and not (mark is not None and mark.owed))
    if isinstance(decision, Admitted):
        assert decision.mark.moved
        assert not decision.mark.over
        assert decision.cuts == (epoch > epoch_of(mark))


@given(MARKS, EPOCHS)
def test_an_epoch_that_is_over_stays_over(mark: Mark | None, epoch: int) -> None:
    after = fence.ended(mark, epoch) or mark
    assert isinstance(fence.admit(after, epoch), Refused)
    assert fence.announced(after, epoch) is None


@given(MARKS, EPOCHS)
def test_a_machine_that_owes_rest_keeps_owing_it_until_it_is_at_rest(mark: Mark | None, epoch: int) -> None:
    if mark is None or not mark.owed:
        return
    for after in (fence.admit(mark, epoch).mark, fence.announced(mark, epoch), fence.ended(mark, epoch)):
        assert after is None or after.owed
    assert not fence.rested(mark).owed


@given(MARKS)
def test_a_lost_link_owes_rest_exactly_where_streams_may_have_moved_the_machine(mark: Mark | None) -> None:
    if mark is not None:
        assert (fence.lost(mark) or mark).owed == mark.moved


def test_a_clock_that_went_back_counts_as_silence() -> None:
    assert fence.silent(10.0, 9.0, 2.0)
    assert fence.silent(10.0, 12.1, 2.0)
    assert not fence.silent(10.0, 12.0, 2.0)
    assert fence.silent(10.0, float("nan"), 2.0)


class History(RuleBasedStateMachine):
    """Streams, words, losses and crashes in any order; ``open`` are epochs of streams whose bytes may pass."""

    def __init__(self) -> None:
        super().__init__()
        self.mark: Mark | None = None
        self.open: list[int] = []
        self.first_bytes = 0
        """The highest epoch of which a byte has passed."""
        self.over: set[int] = set()

    @rule(epoch=EPOCHS)
    def stream(self, epoch: int) -> None:
        decision = fence.admit(self.mark, epoch)
        self.mark = decision.mark
        if decision.cuts:
            self.open.clear()
        if isinstance(decision, Admitted):
            assert epoch not in self.over
            self.open.append(epoch)

    @rule(epoch=EPOCHS, ends=st.booleans())
    def word(self, epoch: int, ends: bool) -> None:
        after = (fence.ended if ends else fence.announced)(self.mark, epoch)
        if after is not None:
            self.mark = after
            self.open.clear()
        if ends:
            self.over.add(epoch)

    @rule()
    def loss(self) -> None:
        """A lost link, or a crash and a start: sockets are gone either way."""
        self.open.clear()
        if self.mark is not None:
            self.mark = fence.lost(self.mark) or self.mark

    @precondition(lambda self: self.mark is not None and self.mark.owed)
    @rule()
    def rest(self) -> None:
        assert self.mark is not None
        self.mark = fence.rested(self.mark)

    @invariant()
    def bytes_of_old_epochs_never_follow(self) -> None:
        for epoch in self.open:
            assert epoch >= self.first_bytes
            assert epoch not in self.over
            self.first_bytes = max(self.first_bytes, epoch)
        if self.open:
            assert self.mark is not None
            assert self.mark.moved
            assert not self.mark.owed


TestHistory = History.TestCase
