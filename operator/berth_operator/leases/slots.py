"""Which slots are so old that their taker must be gone. Pure."""

from collections.abc import Mapping, Set

from berth_core.leases.slots import KEPT_SECONDS

SlotKey = tuple[str, str]
"""(name of the Account, public id of the instance)"""


def overdue(
    present: Set[SlotKey], seen: Mapping[SlotKey, float], now: float
) -> tuple[dict[SlotKey, float], dict[str, frozenset[str]]]:
    """Return when each slot that is there was first seen, and the instances whose slots go, by Account.

    ``seen`` and ``now`` are on a monotonic clock: no clock of the taker's has a say.
    """
    first = {key: seen.get(key, now) for key in present}
    due: dict[str, frozenset[str]] = {}
    for (account, instance), since in first.items():
        if now - since >= KEPT_SECONDS:
            due[account] = due.get(account, frozenset()) | {instance}
    return first, due
