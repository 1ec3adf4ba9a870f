"""Finds deployments by the names that people use."""

from berth_cli.ui.errors import NOT_FOUND, CliError
from berth_cli.ui.reading import readable
from berth_core.kube.client import Client
from berth_core.kube.errors import NotFoundError
from berth_core.resources import WorkspaceDeployment


async def deployment_named(client: Client, namespace: str, word: str) -> WorkspaceDeployment:
    """Find a deployment by its name or its public id. Raises CliError."""
    try:
        return WorkspaceDeployment.parse(await client.get(WorkspaceDeployment.api(), namespace, word))
    except NotFoundError:
        every, _ = await client.list(WorkspaceDeployment.api(), namespace)
        matches = [wd for wd in readable(WorkspaceDeployment, every) if wd.public_id == word]
        if matches:
            return matches[0]
    raise CliError(
        f"there is no deployment {word} in namespace {namespace}:"
        " `berth status --all-namespaces` lists them; name another namespace with --workspaces",
        NOT_FOUND,
    )
