"""One machine as `berth machine show` prints it. Pure."""

from collections.abc import Iterator
from typing import Any, Final

from berth_cli.admin.machines import openings
from berth_cli.admin.machines.facts import Lent
from berth_core.kube import conditions
from berth_core.kube.conditions import Condition
from berth_core.leases.availability import AVAILABLE
from berth_core.machines.devices import FOUND, described
from berth_core.machines.placement import INBOUND, WALLED
from berth_core.reasons import deployment
from berth_core.reasons.table import NOTHING
from berth_core.resources.workspacedeployment import MAINTENANCE, Health

SHOWN: Final = (deployment.ONLINE, deployment.REACHABLE, FOUND, WALLED, INBOUND, MAINTENANCE)
"""Conditions that speak of the machine."""


def conditions_of(lent: Lent) -> list[Condition]:
    """Return the conditions that speak of the machine; those that were never set are left out."""
    entries = (conditions.find(lent.wd.status.conditions, kind) for kind in SHOWN)
    return [entry for entry in entries if entry is not None]


def step(entry: Condition) -> str:
    """Return the next step of a person for a condition; empty where there is none."""
    (table,) = deployment.TABLES
    steps = (one.step for one in table.reasons if one.word == entry.reason and entry.type in one.conditions)
    found = next(steps, NOTHING)
    return "" if found == NOTHING else found


def steps(lent: Lent) -> Iterator[str]:
    """Yield the next steps for all conditions, each with the name of its condition."""
    for entry in conditions_of(lent):
        if word := step(entry):
            yield f"{entry.type}: {word}"


def endpoints(lent: Lent) -> str | None:
    """Endpoints that the deployment names."""
    network = lent.wd.network
    return openings.text(network.reached()) if network is not None else None


def no_endpoints(lent: Lent) -> str:
    """Say that the deployment names none, and what to set where it names no device either."""
    return "none" if lent.wd.devices else "none: set spec.machine.network"


def devices(lent: Lent) -> str | None:
    """Devices that the deployment names."""
    return "; ".join(map(described, lent.wd.devices)) or None


def leased_devices(lent: Lent) -> str | None:
    """Devices that the present lease has."""
    held = lent.instance.devices if lent.instance is not None else ()
    return "; ".join(map(described, held)) or None


def leased(lent: Lent) -> str | None:
    """Endpoints that the present lease has."""
    network = lent.instance.network if lent.instance is not None else None
    return openings.text(network.reached()) if network is not None else None


def holder(lent: Lent) -> str | None:
    """Holder of the deployment, with the instance."""
    lease = lent.wd.status.lease
    return f"{lease.user}, instance {lease.instance}, since {lease.claimed_at}" if lease is not None else None


def health(lent: Lent) -> str | None:
    """Way in which the operator asks the machine."""
    asks = lent.wd.spec.health
    return _probe(asks) if asks is not None else None


def shown(lent: Lent, kind: str) -> str | None:
    """Write a condition for people."""
    entry = conditions.find(lent.wd.status.conditions, kind)
    if entry is None:
        return None
    return f"{entry.status} ({entry.reason}) since {entry.last_transition_time}: {entry.message}"


def wire(lent: Lent) -> dict[str, Any]:
    """As `--output json` and `yaml` print it."""
    wd, instance = lent.wd, lent.instance
    network = instance.network if instance is not None else None
    return {
        "deployment": wd.metadata.name,
        "namespace": wd.metadata.namespace,
        "id": wd.public_id,
        "type": wd.spec.type,
        "network": wd.network.wire() if wd.network is not None else None,
        "grant": wd.spec.grant,
        "devices": [one.wire() for one in wd.devices],
        "health": wd.spec.health.wire() if wd.spec.health is not None else None,
        "lease": wd.status.lease.wire() | {"epoch": wd.status.epoch} if wd.status.lease is not None else None,
        "leasedDevices": [one.wire() for one in instance.devices] if instance is not None else [],
        "leasedNetwork": network.wire() if network is not None else None,
        "conditions": [entry.wire() | {"step": step(entry)} for entry in conditions_of(lent)],
        "available": conditions.is_true(wd.status.conditions, AVAILABLE),
    }


def _probe(asks: Health) -> str:
    where = f"tcp {asks.tcp}"
    if asks.http is not None:
        where = f"{'https' if asks.http.tls else 'http'} {asks.http.port} {asks.http.path}"
    host = f" at {asks.host}" if asks.host is not None else ""
    lease = "" if asks.during_lease else ", not during a lease"
    return f"{where}{host}, every {asks.every} s, offline after {asks.failures} failures{lease}"
