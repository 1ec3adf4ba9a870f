from berth_operator.expiry import LONGEST_WAIT, SHORTEST_WAIT, next_look

from .making import NOW, at


def test_the_next_look_is_when_something_expires_within_bounds() -> None:
    assert next_look([at(-5), at(120), at(200)], NOW, more=False) == 120
    assert next_look([at(1)], NOW, more=False) == SHORTEST_WAIT
    assert next_look([at(86400)], NOW, more=False) == LONGEST_WAIT
    assert next_look([], NOW, more=False) == LONGEST_WAIT


def test_what_was_too_much_for_one_pass_follows_at_once() -> None:
    assert next_look([at(-1)], NOW, more=True) == 0
