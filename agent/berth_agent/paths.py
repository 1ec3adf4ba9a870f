"""Where the agent finds and leaves its files. Environment variables move them for tests and odd set-ups."""

import os
from collections.abc import Mapping
from typing import Final, NamedTuple

VARIABLES: Final = {
    "BERTH_AGENT_SECRET_DIR": "Folder with the agent's certificates and its first push; read only.",
    "BERTH_AGENT_RUN_DIR": "Folder of the files that the workspace reads.",
    "BERTH_AGENT_STATE_DIR": "Folder of the push that was applied last.",
    "BERTH_AGENT_VPN_DIR": "Folder of the files that the VPN and the agent share.",
    "BERTH_AGENT_PORT": "Port of the agent, 1 to 65535.",
}


class Paths(NamedTuple):
    """Folders and the port; the defaults are those of the pod (docs/explanation/architecture.md)."""

    secret: str = "/etc/berth-agent"  # noqa: S105 (a folder)
    """``tls.crt``, ``tls.key``, ``ca.crt``, ``initial.json``; read only."""
    run: str = "/run/berth"
    """``authorized_keys`` and ``notice``, which the workspace reads."""
    state: str = "/var/lib/berth-agent"
    """The push that was applied last, and the one that is being applied; survives a restart of the container."""
    vpn: str = "/run/berth-vpn"
    """Files that the VPN and the agent share; not there where the instance has no VPN."""
    port: int = 8470

    @property
    def closed(self) -> str:
        """A named pipe, out of which the agent's `postStart` hook reads that the door is shut."""
        return os.path.join(self.state, "closed")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Paths":
        """Read the variables."""
        defaults = cls()
        return cls(
            secret=environment.get("BERTH_AGENT_SECRET_DIR", defaults.secret),
            run=environment.get("BERTH_AGENT_RUN_DIR", defaults.run),
            state=environment.get("BERTH_AGENT_STATE_DIR", defaults.state),
            vpn=environment.get("BERTH_AGENT_VPN_DIR", defaults.vpn),
            port=int(environment.get("BERTH_AGENT_PORT", defaults.port)),
        )
