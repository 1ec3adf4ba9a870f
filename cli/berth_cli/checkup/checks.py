"""All checks. Pure."""

from collections.abc import Callable, Iterator
from typing import Final

from berth_cli.checkup import of_admission, of_cluster, of_release
from berth_cli.checkup.facts import Facts
from berth_cli.checkup.findings import Finding

Check = Callable[[Facts], Iterator[Finding]]

CHECKS: Final[tuple[Check, ...]] = (
    of_cluster.version,
    of_cluster.enforcement,
    of_cluster.sources,
    of_cluster.tun,
    of_cluster.clock,
    of_release.definitions,
    of_release.processes,
    of_release.leader,
    of_release.certificates,
    of_release.keys,
    of_release.egress,
    of_release.machines,
    of_admission.added,
    of_admission.marks,
    of_admission.workloads,
)


def findings(facts: Facts) -> list[Finding]:
    """All that was found, in the order of the checks."""
    return [finding for check in CHECKS for finding in check(facts)]
