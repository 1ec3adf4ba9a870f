"""Prometheus metrics of the keeper."""

from prometheus_client import Counter, Gauge, Histogram

RELAYS = Gauge("berth_keeper_relays", "Relays that this process keeps.")
ATTEMPTS = Counter("berth_keeper_attempts_total", "Attempts, by how they ended.", ["reason"])
ATTEMPT_SECONDS = Histogram("berth_keeper_attempt_seconds", "Length of one attempt.")
