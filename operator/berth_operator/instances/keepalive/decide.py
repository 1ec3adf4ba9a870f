"""From when on the silence of an instance's holder counts. Pure."""

from datetime import datetime, timedelta
from typing import Final

from berth_core import state
from berth_core.kube.conditions import find
from berth_core.kube.model import parse_time
from berth_core.resources import Instance

MOST_SILENCE: Final = timedelta(seconds=60)
"""An instance with spec.keepAlive ends when no ping came for this long."""


def quiet_since(instance: Instance, ping: datetime | None, heard_since: datetime, now: datetime) -> datetime | None:
    """Since when a ping is missing; None for an instance that needs none (yet).

    ``heard_since`` is since when a ping, had there been one, would have been seen. Before it was ready once nobody
    needs to ping; one that is not ready any more is pinged still, and gets a full interval from each change.
    """
    if not instance.spec.keep_alive or instance.status.ready_time is None:
        return None
    moments = [parse_time(instance.status.ready_time), heard_since]
    if ping is not None:
        moments.append(ping)
    ready = find(instance.status.conditions, state.READY)
    if ready is not None:
        moments.append(parse_time(ready.last_transition_time))
    return min(max(moments), now)
