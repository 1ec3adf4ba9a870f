"""Maintenance of deployments: owners alone get new instances for a time."""

from dataclasses import dataclass
from datetime import datetime

from berth_cli.admin.cluster import server_time
from berth_cli.admin.deployments.actions import change
from berth_cli.admin.deployments.lookup import deployment_named
from berth_cli.ui.errors import USAGE, CliError
from berth_core import durations
from berth_core.kube.client import Client
from berth_core.kube.model import timestamp
from berth_core.leases.availability import under_maintenance
from berth_core.resources.workspacedeployment import Maintenance


@dataclass(frozen=True)
class Wish:
    """Reason of a maintenance, and its end as it was written; empty for an end by hand."""

    reason: str
    until: str


async def begin(client: Client, namespace: str, word: str, wish: Wish) -> str:
    """Begin a maintenance of a deployment (name or id), or change it. Returns what was done. Raises CliError."""
    wd = await deployment_named(client, namespace, word)
    until = end_of(wish.until, await server_time(client)) if wish.until else None
    maintenance = Maintenance(reason=wish.reason, until=timestamp(until) if until is not None else None)
    # Of an earlier one, no end stays.
    await change(client, wd, {"maintenance": {"reason": maintenance.reason, "until": maintenance.until}})
    lease = wd.status.lease
    rest = f"; instance {lease.instance} of {lease.user} goes on" if lease is not None else ""
    return f"{wd.metadata.name} is {under_maintenance(maintenance)}{rest}"


async def end(client: Client, namespace: str, word: str) -> str:
    """End the maintenance of a deployment (name or id). Returns what was done."""
    wd = await deployment_named(client, namespace, word)
    if wd.spec.maintenance is None:
        return f"{wd.metadata.name} is not under maintenance"
    await change(client, wd, {"maintenance": None})
    return f"the maintenance of {wd.metadata.name} is over"


def end_of(text: str, now: datetime) -> datetime:
    """Read the end of a maintenance: a time with its zone, or a length from now. Pure. Raises CliError."""
    try:
        until = now + durations.parse(text)
    except (ValueError, OverflowError):
        try:
            until = datetime.fromisoformat(text)
        except ValueError as error:
            raise CliError(
                f"--until takes a time such as 2026-12-01T17:00:00Z, or a length such as 4h: not {text}", USAGE
            ) from error
    if until.tzinfo is None:
        raise CliError(f"--until needs a zone, such as {text}Z for UTC", USAGE)
    if until <= now:
        raise CliError(f"--until {text} is over already: it is {timestamp(now)}", USAGE)
    return until.replace(microsecond=0)
