"""All checks. Pure."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from berth_cli.admin.doctor import of_admission, of_bounds, of_cluster, of_devices, of_release
from berth_cli.admin.doctor.facts import Facts, Stored
from berth_cli.admin.doctor.findings import Finding

F = TypeVar("F", bound=Stored)

BEFORE_AN_UPGRADE: Final[tuple[Callable[[Stored], Iterator[Finding]], ...]] = (
    of_admission.readable,
    of_admission.added,
    of_admission.marks,
    of_admission.workloads,
    of_admission.openings,
    of_admission.runtime_classes,
    of_bounds.fields,
    of_bounds.counts,
    of_release.egress,
)
"""Checks for objects that exist and could not be made under this version."""

CHECKS: Final[tuple[Callable[[Facts], Iterator[Finding]], ...]] = (
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
    of_release.drains,
    of_release.machines,
    of_devices.classes,
    *BEFORE_AN_UPGRADE,
)


def findings(facts: F, selection: Sequence[Callable[[F], Iterator[Finding]]]) -> list[Finding]:
    """All findings, in the order of the checks."""
    return [finding for check in selection for finding in check(facts)]
