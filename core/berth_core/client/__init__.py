"""The one client of the cluster's API: plain dicts in and out, errors from :mod:`berth_core.errors`.

It is safe for concurrent use by the tasks of one event loop.
"""

from berth_core.client.cluster import Client
from berth_core.client.connecting import connect, connected
from berth_core.client.kinds import LEASES, PODS, Kind, Object, WatchEvent
from berth_core.client.streams import SILENT_SECONDS

__all__ = ["LEASES", "PODS", "SILENT_SECONDS", "Client", "Kind", "Object", "WatchEvent", "connect", "connected"]
