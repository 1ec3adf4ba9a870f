"""Metrics for Prometheus; served on a port of their own by a thread of the client library."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from berth_api.config import Listen

REQUESTS: Final = Counter("berth_api_requests", "Requests answered.", ("method", "route", "status"))
SECONDS: Final = Histogram(
    "berth_api_request_seconds",
    "Time from the request's head to the answer's end.",
    ("route",),
    buckets=(0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.2, 0.5, 1, 2.5, 10),
)
LAUNCHES: Final = Counter("berth_api_launches", "Requests for an instance, by result.", ("result",))
FOLLOWERS: Final = Gauge("berth_api_log_followers", "Logs of builds that are followed.")
READERS: Final = Gauge("berth_api_log_readers", "Logs and artifacts of builds that are read.")
KEYS_AHEAD: Final = Gauge("berth_api_keys_ahead", "Key pairs made ahead.")
CACHE_BROKEN: Final = Gauge(
    "berth_api_cache_broken_seconds", "For how long the cache's watch has not been standing.", ("kind",)
)
CERTIFICATE_EXPIRES: Final = Gauge(
    "berth_api_certificate_expiry_timestamp_seconds", "When the API's certificate expires, 0 without TLS."
)
CERTIFICATE_REFUSED: Final = Gauge(
    "berth_api_certificate_refused", "1 while a new certificate cannot be used and the one before stays."
)


def serve(listen: Listen) -> None:
    """Serve ``/metrics``."""
    start_http_server(listen.port, listen.host)
