from hypothesis import given
from hypothesis import strategies as st

from berth_operator.builds.tail import Tail


@given(st.lists(st.binary(max_size=40).map(lambda piece: piece.replace(b"x", b"\n"))), st.integers(1, 60))
def test_the_end_is_kept_from_a_line_s_beginning_on(pieces: list[bytes], most: int) -> None:
    tail = Tail(most)
    for piece in pieces:
        tail.add(piece)
    whole = b"".join(pieces)
    kept = tail.content
    assert len(kept) <= most
    assert whole.endswith(kept)
    dropped = whole[: len(whole) - len(kept)]
    assert tail.skipped == dropped.count(b"\n")
    if len(whole) <= most:
        assert kept == whole
    elif b"\n" in whole[-most:-1]:
        assert dropped.endswith(b"\n")


def test_a_line_that_was_not_ended_is_ended_once() -> None:
    tail = Tail(100)
    tail.close_line()
    tail.add(b"a\nb")
    tail.close_line()
    tail.close_line()
    assert tail.content == b"a\nb\n"
