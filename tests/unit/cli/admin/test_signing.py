"""When a token counts as issued."""

from datetime import UTC, datetime

import pytest

from berth_cli.admin.tokens.signing import issue_time
from berth_cli.ui.errors import CliError
from berth_core.resources import Account

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def account(after: str | None) -> Account:
    return Account.parse({"metadata": {"name": "alice"}, "spec": {"user": "alice", "tokensValidAfter": after}})


@pytest.mark.parametrize(
    "known", [None, account(None), account("2026-04-30T23:59:59Z"), account("2026-05-01T00:00:00Z")]
)
def test_now(known: Account | None) -> None:
    assert issue_time(known, NOW) == NOW


@pytest.mark.parametrize(
    ("purged", "second"),
    [("2026-05-01T00:00:00.000001Z", 1), ("2026-05-01T00:00:02Z", 2), ("2026-05-01T00:00:03.5Z", 4)],
)
def test_after_a_purge_that_another_clock_dated_later(purged: str, second: int) -> None:
    assert issue_time(account(purged), NOW) == NOW.replace(second=second)


def test_not_before_the_purge() -> None:
    with pytest.raises(CliError, match="after 2026-05-01T00:00:06Z: repeat"):
        issue_time(account("2026-05-01T00:00:06Z"), NOW)
