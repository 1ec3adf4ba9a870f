"""How commands reach the cluster: by kubeconfig, with errors that name the next step."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar

from berth_cli.ui.errors import FAILED, FORBIDDEN, NOT_FOUND, UNREACHABLE, CliError
from berth_core import names
from berth_core.kube import errors
from berth_core.kube.client import Client
from berth_core.kube.connection import connected

T = TypeVar("T")


def ask(kubeconfig: Path | None, work: Callable[[Client], Awaitable[T]]) -> T:
    """Do some work with a client of the cluster. Raises CliError."""
    config = _kubeconfig(kubeconfig)

    async def run() -> T:
        async with connected(names.CLI_MANAGER, config) as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except errors.ForbiddenError as error:
        raise CliError(f"{error.message}: ask an administrator of the cluster for the right", FORBIDDEN) from error
    except errors.UnavailableError as error:
        hint = f"check that the cluster of {config} runs and that you reach it (kubectl version)"
        raise CliError(f"{error.message}: {hint}", UNREACHABLE) from error
    except errors.NotFoundError as error:
        raise CliError(f"{error.message}: is Berth installed there? (helm list -A)", NOT_FOUND) from error
    except errors.ClusterError as error:
        raise CliError(error.message, FAILED) from error


async def server_time(client: Client) -> datetime:
    """Return the API server's time, to the second (RFC 9110, ``Date``).

    Times that one machine writes and another acts on, such as the start of a key, must not depend on their own clocks.
    """
    return parsedate_to_datetime(await client.server_date()).astimezone(UTC)


def _kubeconfig(file: Path | None) -> str:
    """Path of the kubeconfig: the option, else KUBECONFIG, else ~/.kube/config."""
    path = str(file) if file else os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if not any(Path(part).is_file() for part in path.split(os.pathsep)):
        raise CliError(f"there is no kubeconfig at {path}: name one with --kubeconfig or KUBECONFIG", UNREACHABLE)
    return path
