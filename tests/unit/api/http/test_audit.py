"""The word that sums up an answer."""

import pytest

from berth_api.http.audit import result_of


@pytest.mark.parametrize(
    ("status", "answer", "word"),
    [
        (200, {}, "ok"),
        (400, {"error_message": "x"}, "refused"),
        (429, {}, "refused"),
        (503, {"result_message": "busy", "error_message": "busy"}, "refused"),
        (503, {"error_message": "the cluster cannot be reached"}, "failed"),
        (500, {}, "failed"),
        (0, {}, "failed"),
    ],
)
def test_a_word_says_what_came_of_a_request(status: int, answer: dict[str, str], word: str) -> None:
    assert result_of(status, answer) == word
