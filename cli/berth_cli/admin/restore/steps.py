"""Reads the objects for a restore, and performs the steps of :mod:`berth_cli.admin.restore.plan`."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from berth_cli.admin import cluster
from berth_cli.admin.restore import plan
from berth_cli.admin.restore.plan import Found, Step
from berth_cli.ui.errors import CliError
from berth_cli.ui.reading import readable, split
from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.errors import ConflictError, NotFoundError
from berth_core.kube.model import parse_time
from berth_core.kube.types import Kind
from berth_core.resources import Instance, Reservation, WorkspaceDeployment

OPENED: Final = (Kind("v1", "pods"), Kind("v1", "services"), Kind("v1", "secrets"), Kind("batch/v1", "jobs"))
LEASES: Final = Kind("coordination.k8s.io/v1", "leases")
PODS: Final = Kind("v1", "pods")
LEADER: Final = "berth-operator"
SILENT: Final = timedelta(seconds=15)
"""Time without a renewal after which a leader no longer leads."""


@dataclass(frozen=True)
class Wish:
    """Release and workspace namespace to restore, and an epoch to stay above."""

    release: str
    workspaces: str
    above: int


async def look(client: Client, wish: Wish) -> list[Step]:
    """Return the steps to do."""
    now = await cluster.server_time(client)
    return plan.plan(await _objects(client, wish.workspaces), wish.above, now)


async def restore(client: Client, wish: Wish) -> list[Step]:
    """Perform the steps and return them, those left to people included. Safe to repeat.

    Raises CliError while Berth runs: it would take leases with epochs that were used before.
    """
    await _check_that_nobody_works(client, wish.release)
    steps = await look(client, wish)
    for step in steps:
        await _write(client, step)
    return steps


async def _write(client: Client, step: Step) -> None:
    kind, metadata = step.target.api(), step.target.metadata
    version = metadata.resource_version
    try:
        for status in step.writes:
            body = {"metadata": {"resourceVersion": version}, "status": status}
            answer = await client.patch(kind, metadata.namespace, metadata.name, body, subresource="status")
            version = answer["metadata"]["resourceVersion"]
    except ConflictError as error:
        raise CliError(f"somebody else writes {step.name}: see that Berth does not run, and repeat") from error


async def _check_that_nobody_works(client: Client, release: str) -> None:
    stop = f"kubectl scale deployment berth-operator berth-api -n {release} --replicas=0"
    api, _ = await client.list(PODS, release, labels={names.COMPONENT_LABEL: "api"}, metadata_only=True)
    if api:
        raise CliError(f"the API runs ({api[0]['metadata']['name']}) and takes leases: {stop}")
    try:
        lease = await client.get(LEASES, release, LEADER)
    except NotFoundError:
        return
    spec = lease.get("spec") or {}
    holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    if holder and renewed and await cluster.server_time(client) - parse_time(renewed) < SILENT:
        raise CliError(f"the operator runs ({holder}) and takes leases: {stop}")


async def _objects(client: Client, namespace: str) -> Found:
    instances, _ = await client.list(Instance.api(), namespace)
    deployments, _ = await client.list(WorkspaceDeployment.api(), namespace)
    reservations, _ = await client.list(Reservation.api(), namespace)
    opened = [
        obj
        for kind in OPENED
        for obj in (await client.list(kind, namespace, labels={names.EPOCH_LABEL: ""}, metadata_only=True))[0]
    ]
    read_instances, odd_instances = split(Instance, instances)
    read_reservations, odd_reservations = split(Reservation, reservations)
    return Found(
        read_instances,
        readable(WorkspaceDeployment, deployments),
        read_reservations,
        opened,
        [*odd_instances, *odd_reservations],
    )
