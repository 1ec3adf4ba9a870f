"""Prometheus metrics of the notifier."""

from prometheus_client import Counter, Gauge, Histogram

WAITING = Gauge("berth_notifier_waiting", "Deliveries that are neither delivered nor given up.")
ATTEMPTS = Counter("berth_notifier_attempts_total", "Attempts, by how they ended.", ["reason"])
ATTEMPT_SECONDS = Histogram("berth_notifier_attempt_seconds", "Length of one attempt.")
GIVEN_UP = Counter("berth_notifier_given_up_total", "Deliveries that were given up.")
DELETED = Counter("berth_notifier_deleted_total", "Ended Deliveries that were deleted after their retention.")
