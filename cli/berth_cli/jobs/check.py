"""Entry point ``berth-check``: before an upgrade, lists objects that could not be made under the new version.

It never fails for findings or unreadable objects, so the upgrade goes on. The chart keeps the Job, whose log has the
findings.
"""

import asyncio
import os
from typing import Final

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


async def _job() -> None:
    try:
        kubeconfig = os.environ.get("KUBECONFIG") or None
        async with asyncio.timeout(LONGEST_SECONDS), connected(names.CLI_MANAGER, kubeconfig) as client:
            await common.patiently(lambda: _look(client), PATIENCE_SECONDS)
    except ClusterError as error:
        log.warning("existing objects cannot be checked", error=error.message)
    except TimeoutError:
        log.warning("existing objects are too many to check in time", seconds=LONGEST_SECONDS)


async def _look(client: Client) -> None:
    places = map(Settings(os.environ).words, (facts.WORKSPACES_VARIABLE, facts.ACCESS_VARIABLE))
    objects = await facts.hold(client, *places)
    state = facts.Stored(facts.values_of(os.environ), objects)
    findings = [one for one in suite.findings(state, suite.BEFORE_AN_UPGRADE) if one.level is not Level.OK]
    for one in findings:
        log.warning(one.says, check=one.check, mend=one.mend)
    log.info("existing objects are checked", checks=len(suite.BEFORE_AN_UPGRADE), warnings=len(findings))


def main() -> None:
    """Check the namespaces that the environment names."""
    common.run(_job())


if __name__ == "__main__":
    main()
