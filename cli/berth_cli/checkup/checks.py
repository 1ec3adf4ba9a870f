"""All checks. Pure."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from berth_cli.checkup import of_admission, of_bounds, of_cluster, of_release
from berth_cli.checkup.facts import Facts
from berth_cli.checkup.findings import Finding

Check = Callable[[Facts], Iterator[Finding]]

BEFORE_AN_UPGRADE: Final[tuple[Check, ...]] = (
    of_admission.added,
    of_admission.marks,
    of_admission.workloads,
    of_bounds.sizes,
    of_bounds.counts,
)
"""What exists and could not be made under this version."""

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
    *BEFORE_AN_UPGRADE,
)


def findings(facts: Facts, chosen: Sequence[Check] = CHECKS) -> list[Finding]:
    """All that was found, in the order of the checks."""
    return [finding for check in chosen for finding in check(facts)]
