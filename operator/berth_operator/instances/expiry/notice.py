"""Texts on the end of a lease: for its holder before it, for all when it is late. Pure."""

from datetime import datetime, timedelta
from typing import Final

from berth_core.kube.model import timestamp
from berth_core.resources import Instance, WorkspaceType
from berth_operator.instances.observed import ObservedInstance
from berth_operator.instances.status import end_of

WARN_BEFORE: Final = timedelta(minutes=5)
"""A lease that is shorter has its warning from the first."""


def warns_at(instance: Instance, type_: WorkspaceType | None) -> datetime | None:
    """From when on the holder is warned; None for a lease without an end."""
    end = end_of(instance, type_)
    return end - WARN_BEFORE if end else None


def notice(instance: Instance, type_: WorkspaceType | None, now: datetime) -> str:
    """Text for the holder's shell, one line; empty while there is nothing to say. An extension takes it back."""
    end, since = end_of(instance, type_), warns_at(instance, type_)
    if end is None or since is None or now < since:
        return ""
    return f"This lease ends at {end:%Y-%m-%d %H:%M:%S} UTC, unless it is extended. Save your work before then.\n"


def held_up(seen: ObservedInstance, now: datetime) -> str:
    """Why a lease goes on though its time is up, a sentence; empty where it does not."""
    end = end_of(seen.instance, seen.type)
    if seen.clock_trusted or end is None or now < end or seen.instance.status.reason is not None:
        return ""
    return f"its time was up at {timestamp(end)}; it goes on while the operator's clock differs from the API server's"
