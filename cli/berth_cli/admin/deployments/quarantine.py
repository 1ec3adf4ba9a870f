"""Taking a deployment out of quarantine by an administrator's order."""

from berth_cli.admin.deployments.lookup import deployment_named
from berth_cli.ui.errors import FAILED, CliError
from berth_core.kube.client import Client
from berth_core.kube.conditions import find
from berth_core.kube.types import Object
from berth_core.leases.availability import QUARANTINED
from berth_core.resources import WorkspaceDeployment

NODE_LOST = "NodeLost"


async def release(client: Client, deployment: str, namespace: str, reason: str) -> list[str]:
    """Write that the present quarantine of a deployment (name or id) is over. Returns what was done.

    The order counts for the epoch that was read here; a quarantine that begins meanwhile stays.
    """
    wd = await deployment_named(client, namespace, deployment)
    name, quarantine = wd.metadata.name, find(wd.status.conditions, QUARANTINED)
    if quarantine is None or quarantine.status != "True":
        return [f"{name} is not in quarantine: nothing to do"]
    if quarantine.reason == NODE_LOST:
        raise CliError(f"{name} is in quarantine until its lease has ended: {quarantine.message}", FAILED)
    body: Object = {"spec": {"quarantineRelease": {"epoch": wd.status.epoch, "reason": reason}}}
    await client.patch(WorkspaceDeployment.api(), namespace, name, body)
    return [f"{name} leaves quarantine, where it was since {quarantine.last_transition_time}: {quarantine.message}"]
