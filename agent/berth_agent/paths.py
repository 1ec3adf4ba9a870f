"""Where the agent finds and leaves its files. Environment variables move them for tests and odd set-ups."""

import os
from typing import NamedTuple


class Paths(NamedTuple):
    """Folders and the port; the defaults are those of the pod (docs/architecture.md)."""

    secret: str = "/etc/berth-agent"  # noqa: S105 (a folder)
    """``tls.crt``, ``tls.key``, ``ca.crt``, ``initial.json``; read only."""
    run: str = "/run/berth"
    """``authorized_keys`` and ``notice``, which the workspace reads."""
    state: str = "/var/lib/berth-agent"
    """What was applied last, and what is being applied; survives a restart of the container."""
    port: int = 8470

    @classmethod
    def from_environment(cls) -> "Paths":
        """Read BERTH_AGENT_SECRET_DIR, BERTH_AGENT_RUN_DIR, BERTH_AGENT_STATE_DIR and BERTH_AGENT_PORT."""
        defaults = cls()
        return cls(
            secret=os.environ.get("BERTH_AGENT_SECRET_DIR", defaults.secret),
            run=os.environ.get("BERTH_AGENT_RUN_DIR", defaults.run),
            state=os.environ.get("BERTH_AGENT_STATE_DIR", defaults.state),
            port=int(os.environ.get("BERTH_AGENT_PORT", defaults.port)),
        )
