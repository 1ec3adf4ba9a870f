"""Entry point ``berth-check``: before an upgrade, lists objects that could not be made under the new version.

It never fails for findings or unreadable objects, so the upgrade goes on. The chart keeps the Job, whose log has the
findings.
"""

import asyncio
import os
from collections.abc import Mapping
from typing import Final, NamedTuple

import structlog

from berth_cli.admin.doctor import facts, suite
from berth_cli.admin.doctor.findings import Level
from berth_cli.jobs import common
from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_core.kube.errors import ClusterError
from berth_core.process.settings import Settings

log = structlog.get_logger(__name__)

PATIENCE_SECONDS: Final = 60.0
LONGEST_SECONDS: Final = 200.0
"""Less than the chart's deadline for the Job: a Job that is out of time fails, and the upgrade with it."""


VARIABLES: Final = {
    facts.WORKSPACES_VARIABLE: "Workspace namespaces.",
    facts.ACCESS_VARIABLE: "Namespace of private keys for users.",
    facts.BOUNDS_VARIABLE: "JSON object: objects of a kind that a workspace namespace may hold.",
    facts.QUOTA_VARIABLE: "JSON object: `hard` of the ResourceQuota that the chart makes.",
    facts.RUNTIME_CLASSES_VARIABLE: "RuntimeClasses that types may name.",
    **dict.fromkeys(facts.CLOSED_VARIABLES, "Networks that no workspace reaches."),
    "KUBECONFIG": "Way to the cluster; the pod's service account where it is empty.",
}


class Given(NamedTuple):
    """Settings of the Job."""

    workspaces: tuple[str, ...]
    access: tuple[str, ...]
    values: facts.Values
    kubeconfig: str | None


def given(environment: Mapping[str, str]) -> Given:
    """Read the settings from the environment."""
    settings = Settings(environment)
    return Given(
        workspaces=settings.words(facts.WORKSPACES_VARIABLE),
        access=settings.words(facts.ACCESS_VARIABLE),
        values=facts.values_of(environment),
        kubeconfig=settings.text("KUBECONFIG") or None,
    )


async def _job() -> None:
    job = given(os.environ)
    try:
        async with asyncio.timeout(LONGEST_SECONDS), connected(names.CLI_MANAGER, job.kubeconfig) as client:
            await common.patiently(lambda: _look(client, job), PATIENCE_SECONDS)
    except ClusterError as error:
        log.warning("existing objects cannot be checked", error=error.message)
    except TimeoutError:
        log.warning("existing objects are too many to check in time", seconds=LONGEST_SECONDS)


async def _look(client: Client, job: Given) -> None:
    objects = await facts.hold(client, job.workspaces, job.access)
    state = facts.Stored(job.values, objects)
    findings = [one for one in suite.findings(state, suite.BEFORE_AN_UPGRADE) if one.level is not Level.OK]
    for one in findings:
        log.warning(one.says, check=one.check, mend=one.mend)
    log.info("existing objects are checked", checks=len(suite.BEFORE_AN_UPGRADE), warnings=len(findings))


def main() -> None:
    """Check the namespaces that the environment names."""
    common.run(_job())


if __name__ == "__main__":
    main()
