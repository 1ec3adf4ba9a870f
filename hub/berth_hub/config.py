"""Settings of the hub from its environment, read once (docs/reference/environment.md lists them)."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from berth_core.process.settings import PORT, Settings

TLS_FOLDER: Final = Path("/etc/berth/hub-tls")
TRUST_FOLDER: Final = Path("/etc/berth/hub-trust")
VARIABLES: Final = {
    "BERTH_WORKSPACE_NAMESPACES": "Namespaces with Connectors.",
    "BERTH_NAMESPACE": "The release's namespace, where replicas have their Leases.",
    "BERTH_HUB_PORT": "Port for connectors and for agents.",
    "BERTH_HUB_TLS": "Folder with the hub's certificate, its key and the authority.",
    "BERTH_HUB_TRUST": "Folder with the document that hosts trust.",
    "BERTH_HUB_REPLICA": "Name of this replica; the host's name where it is empty.",
    "BERTH_LISTEN": "Port of `/healthz` and `/metrics`.",
    "KUBECONFIG": "Way to the cluster; the pod's service account where it is empty.",
}


@dataclass(frozen=True)
class Config:
    """Settings of one hub process."""

    namespace: str
    workspace_namespaces: tuple[str, ...]
    port: int
    tls: Path
    trust: Path
    replica: str
    listen: int
    kubeconfig: str | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the variables. Raises SettingError."""
        settings = Settings(environment)
        settings.required("BERTH_WORKSPACE_NAMESPACES")
        return cls(
            namespace=settings.text("BERTH_NAMESPACE", "berth"),
            workspace_namespaces=settings.words("BERTH_WORKSPACE_NAMESPACES"),
            port=settings.read("BERTH_HUB_PORT", PORT, 8443),
            tls=settings.path("BERTH_HUB_TLS", TLS_FOLDER),
            trust=settings.path("BERTH_HUB_TRUST", TRUST_FOLDER),
            replica=settings.text("BERTH_HUB_REPLICA", socket.gethostname()),
            listen=settings.read("BERTH_LISTEN", PORT, 8080),
            kubeconfig=settings.text("KUBECONFIG") or None,
        )
