"""Prometheus metrics of the operator. One place, so that docs and dashboards can list them."""

from prometheus_client import Counter, Gauge, Histogram

LEADING = Gauge("berth_operator_leading", "1 while this replica leads.")
QUEUE_DEPTH = Gauge("berth_operator_queue_depth", "Keys that wait for a pass.")
QUEUE_AGE = Gauge("berth_operator_queue_age_seconds", "Age of the key that was neglected longest.")
CLOCK_OFFSET = Gauge("berth_operator_clock_offset_seconds", "Our clock minus the API server's, as last seen.")
CLOCK_TRUSTED = Gauge("berth_operator_clock_trusted", "1 while what is due by our clock is done.")
POLICY_ENFORCED = Gauge(
    "berth_operator_network_policy_enforced", "1 where the cluster enforces NetworkPolicy, 0 where not, -1 unknown."
)
POLICY_ENFORCED.set(-1)
POLICY_PROBED = Gauge("berth_operator_network_policy_probed_seconds", "Unix time of the last probe of that.")
MACHINES_OFFLINE = Gauge(
    "berth_operator_machines_offline",
    "Deployments whose condition Online is False; 0 where this replica does not lead.",
)
LEASE_ENDS_FAILED = Counter(
    "berth_operator_lease_ends_failed_total",
    "Ends of leases that put their machine in quarantine, by the reason.",
    ["reason"],
)
RECONCILE_SECONDS = Histogram("berth_operator_reconcile_seconds", "Length of one pass.", ["sort"])
RECONCILE_FAILURES = Counter("berth_operator_reconcile_failures_total", "Passes that failed.", ["sort"])
PUSH_SECONDS = Histogram("berth_operator_push_seconds", "From a push to the agent's acknowledgement.")
PUSH_FAILURES = Counter("berth_operator_push_failures_total", "Pushes that were not acknowledged.")
LAUNCH_SECONDS = Histogram(
    "berth_operator_launch_seconds",
    "From an instance's creation to its readiness.",
    buckets=(0.5, 1, 1.5, 2, 3, 5, 10, 30),
)
TEARDOWN_SECONDS = Histogram(
    "berth_operator_teardown_seconds",
    "From the decision to end an instance until its deployment is free.",
    buckets=(0.5, 1, 1.5, 2, 3, 5, 10, 30),
)
