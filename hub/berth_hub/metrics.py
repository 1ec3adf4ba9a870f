"""Figures of the hub."""

from typing import Final

from prometheus_client import Counter, Gauge

LINKS: Final = Gauge("berth_hub_links", "Connectors that are linked to this replica.")
STREAMS: Final = Gauge("berth_hub_streams", "Streams that are open.")
CUT: Final = Counter("berth_hub_links_cut", "Links that the hub ended, by reason.", ["reason"])
REFUSED: Final = Counter("berth_hub_refused", "Requests that were refused, by reason.", ["reason"])
BYTES: Final = Counter("berth_hub_bytes", "Bytes of streams, by direction.", ["direction"])
WRITES: Final = Counter("berth_hub_status_writes", "Writes of Connectors' statuses.")
