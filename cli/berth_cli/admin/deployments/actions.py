"""Making, locking and dissolving deployments."""

from dataclasses import dataclass

from berth_cli.admin.cluster import server_time
from berth_cli.admin.deployments.lookup import deployment_named
from berth_cli.ui.errors import NOT_FOUND, CliError
from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.errors import AlreadyExistsError, NotFoundError
from berth_core.kube.model import timestamp
from berth_core.kube.types import Object
from berth_core.resources import WorkspaceDeployment, WorkspaceDeploymentSpec, WorkspaceType, manifest


async def add(client: Client, namespace: str, name: str, spec: WorkspaceDeploymentSpec) -> WorkspaceDeployment:
    """Make a deployment of an existing type. Raises CliError."""
    types, _ = await client.list(WorkspaceType.api(), namespace, fields={"spec.typeName": spec.type})
    if not types:
        raise CliError(
            f"there is no type {spec.type} in namespace {namespace}: `kubectl get wt -A` lists them;"
            " make a WorkspaceType first, or name another namespace with --workspaces",
            NOT_FOUND,
        )
    body = manifest(WorkspaceDeployment, namespace, name, spec, labels={names.MANAGED_BY_LABEL: names.MANAGED_BY})
    try:
        return WorkspaceDeployment.parse(await client.create(WorkspaceDeployment.api(), namespace, body))
    except AlreadyExistsError as error:
        raise CliError(f"there is a deployment {name} in namespace {namespace}: take another name") from error
    except NotFoundError as error:
        raise CliError(f"{error.message}: name another namespace with --workspaces", NOT_FOUND) from error


async def lock(client: Client, namespace: str, word: str, *, lockout: bool) -> str:
    """Refuse or permit new instances of a deployment (name or id). Returns what was done."""
    wd = await deployment_named(client, namespace, word)
    name, lease = wd.metadata.name, wd.status.lease
    if wd.spec.lockout == lockout:
        return f"{name} is {'locked' if lockout else 'not locked'} already"
    await change(client, wd, {"lockout": lockout})
    if not lockout:
        return f"{name} can be had again"
    rest = f"; instance {lease.instance} of {lease.user} goes on" if lease is not None else ""
    return f"{name} is locked: new instances are refused{rest}"


@dataclass(frozen=True)
class Dissolving:
    """A deployment to dissolve, and its holder."""

    deployment: WorkspaceDeployment

    @property
    def meaning(self) -> str:
        """Say what that means."""
        lease = self.deployment.status.lease
        rest = f"; instance {lease.instance} of {lease.user} goes on until it ends" if lease is not None else ""
        return f"{self.deployment.metadata.name} is taken away for good: this cannot be undone{rest}"


async def look(client: Client, namespace: str, word: str) -> Dissolving:
    """Find out the effect of dissolving a deployment. Raises CliError where it was dissolved before."""
    wd = await deployment_named(client, namespace, word)
    if wd.spec.dissolved is not None:
        raise CliError(f"{wd.metadata.name} was dissolved at {wd.spec.dissolved}: nothing to do")
    return Dissolving(wd)


async def dissolve(client: Client, target: Dissolving) -> str:
    """Dissolve a deployment. Returns what was done."""
    await change(client, target.deployment, {"dissolved": timestamp(await server_time(client))})
    return f"{target.deployment.metadata.name} is dissolved"


async def change(client: Client, wd: WorkspaceDeployment, spec: Object) -> None:
    """Change exactly the deployment that was read: the uid tells it from another of the same name."""
    body: Object = {"metadata": {"uid": wd.metadata.uid}, "spec": spec}
    await client.patch(WorkspaceDeployment.api(), wd.metadata.namespace, wd.metadata.name, body)
