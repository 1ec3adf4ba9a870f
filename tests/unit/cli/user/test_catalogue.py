"""States of deployments in tables for users."""

from typing import Any

import pytest

from berth_cli.user.catalogue import is_free, state, why

FREE = {"online": True, "queuelen": 0}
UNTIL = "2026-05-01T02:00:00Z"


@pytest.mark.parametrize(
    ("info", "word", "reason"),
    [
        (FREE, "free", None),
        (FREE | {"queuelen": 2}, "busy", None),
        (FREE | {"online": False, "offline": "NoAnswer since then"}, "offline", "NoAnswer since then"),
        (FREE | {"online": False}, "offline", None),
        (FREE | {"maintenance": {"reason": "new gripper"}}, "maintenance", "new gripper"),
        (
            FREE | {"online": False, "maintenance": {"reason": "new gripper", "until": UNTIL}},
            f"maintenance until {UNTIL}",
            "new gripper",
        ),
    ],
)
def test_a_deployment_shows_whether_it_can_be_had_and_why_not(
    info: dict[str, Any], word: str, reason: str | None
) -> None:
    assert (state(info), why(info), is_free(info)) == (word, reason, word == "free")
