"""Prometheus metrics of the driver for devices."""

from prometheus_client import Counter, Gauge, Histogram

PRESENT = Gauge("berth_devices_present", "Devices of this node that are plugged in and offered.")
UNPLUGGED = Gauge("berth_devices_unplugged", "Devices that were there and are remembered.")
PREPARED = Gauge("berth_devices_claims_prepared", "Claims that are prepared on this node.")
CALLS = Counter("berth_devices_calls_total", "Claims in calls of the kubelet.", ["call", "result"])
PREPARE_SECONDS = Histogram("berth_devices_prepare_seconds", "Length of preparing one claim.")
SLICE_WRITES = Counter("berth_devices_slice_writes_total", "Writes of ResourceSlices.", ["write", "result"])
