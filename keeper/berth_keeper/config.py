"""Settings of the keeper from its environment, read once (docs/reference/environment.md lists them)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from berth_core.machines.reach import Networks
from berth_core.process.settings import NETWORKS, PORT, Settings

VARIABLES: Final = {
    "BERTH_WORKSPACE_NAMESPACES": "Namespaces with Relays.",
    "BERTH_KEEPER_NAMESPACE": "Namespace with the Secrets that say how to work relays.",
    "BERTH_MACHINE_CIDRS": "Networks where relays stand; nothing else is connected to.",
    "BERTH_BLOCKED_CIDRS": "Networks that stay closed even if they lie in those.",
    "BERTH_LISTEN": "Port of `/healthz` and `/metrics`.",
    "KUBECONFIG": "Way to the cluster; the pod's service account where it is empty.",
}


@dataclass(frozen=True)
class Config:
    """Settings of one keeper process."""

    workspace_namespaces: tuple[str, ...]
    namespace: str
    """Where the Secrets are."""
    networks: Networks
    listen: int
    kubeconfig: str | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the variables. Raises SettingError."""
        settings = Settings(environment)
        settings.required("BERTH_WORKSPACE_NAMESPACES")
        return cls(
            workspace_namespaces=settings.words("BERTH_WORKSPACE_NAMESPACES"),
            namespace=settings.required("BERTH_KEEPER_NAMESPACE"),
            networks=Networks(
                settings.read("BERTH_MACHINE_CIDRS", NETWORKS, ()), settings.read("BERTH_BLOCKED_CIDRS", NETWORKS, ())
            ),
            listen=settings.read("BERTH_LISTEN", PORT, 8080),
            kubeconfig=settings.text("KUBECONFIG") or None,
        )
