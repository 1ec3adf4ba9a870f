"""Entry point ``berth-check``: before an upgrade, lists what exists and could not be made under the new version.

It goes on, so the upgrade does too. The chart keeps the Job, whose log says what to look at.
"""

import json
import os
from typing import Final

import structlog

from berth_cli import jobs
from berth_cli.checkup import checks, facts
from berth_cli.checkup.findings import Level
from berth_core import names
from berth_core.client import connected

log = structlog.get_logger(__name__)

PATIENCE_SECONDS: Final = 60.0


async def _job() -> None:
    release, most = (
        jobs.setting(os.environ, "BERTH_NAMESPACE"),
        json.loads(os.environ.get(facts.BOUNDS_VARIABLE) or "{}"),
    )
    where = jobs.words(jobs.setting(os.environ, facts.WORKSPACES_VARIABLE))
    async with connected(names.CLI_MANAGER, os.environ.get("KUBECONFIG") or None) as client:
        seen = await jobs.patiently(lambda: facts.gather(client, release, where, most), PATIENCE_SECONDS)
    found = [one for one in checks.findings(seen, checks.BEFORE_AN_UPGRADE) if one.level is not Level.OK]
    for one in found:
        log.warning(one.says, check=one.check, mend=one.mend)
    log.info("looked at what exists", checks=len(checks.BEFORE_AN_UPGRADE), warnings=len(found))


def main() -> None:
    """Look over the namespaces that BERTH_WORKSPACE_NAMESPACES names."""
    jobs.run(_job())


if __name__ == "__main__":
    main()
