"""Settings of the notifier from its environment, read once (docs/reference/environment.md lists them)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, TypeAdapter

from berth_core.process.settings import NETWORKS, PORT, Settings
from berth_notifier.addresses import Policy

KEYS_FOLDER: Final = Path("/etc/berth/webhook-signing")
VARIABLES: Final = {
    "BERTH_WORKSPACE_NAMESPACES": "Namespaces with Deliveries.",
    "BERTH_NAMESPACE": "The release's namespace, where Secrets with tokens lie.",
    "BERTH_STATUS_SECRETS": "Names of the Secrets whose tokens may be sent with statuses of commits.",
    "BERTH_WEBHOOK_ALLOWED_CIDRS": "Networks that may be sent to though they are private.",
    "BERTH_BLOCKED_CIDRS": "More networks that may not, such as the cluster's.",
    "BERTH_MACHINE_CIDRS": "Networks where machines stand, which may not whatever is allowed.",
    "BERTH_WEBHOOK_KEYS": "Folder with the signing keys.",
    "BERTH_WEBHOOK_CA_FILE": "CA for receivers' certificates; the system's where it is empty.",
    "BERTH_WEBHOOK_RETENTION_DAYS": "Days for which settled Deliveries are kept.",
    "BERTH_LISTEN": "Port of `/healthz` and `/metrics`.",
    "KUBECONFIG": "Way to the cluster; the pod's service account where it is empty.",
}
DAYS: Final = TypeAdapter(Annotated[int, Field(ge=1, le=3650)])


@dataclass(frozen=True)
class Config:
    """Settings of one notifier process."""

    namespace: str
    """The release's: Secrets with tokens lie there."""
    workspace_namespaces: tuple[str, ...]
    status_secrets: tuple[str, ...]
    """Names of the Secrets whose tokens may be sent with statuses of commits."""
    policy: Policy
    keys: Path
    ca_file: Path | None
    retention: timedelta
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
            status_secrets=settings.words("BERTH_STATUS_SECRETS"),
            policy=Policy(
                allowed=settings.read("BERTH_WEBHOOK_ALLOWED_CIDRS", NETWORKS, ()),
                blocked=settings.read("BERTH_BLOCKED_CIDRS", NETWORKS, ()),
                machines=settings.read("BERTH_MACHINE_CIDRS", NETWORKS, ()),
            ),
            keys=settings.path("BERTH_WEBHOOK_KEYS", KEYS_FOLDER),
            ca_file=settings.path("BERTH_WEBHOOK_CA_FILE", None),
            retention=timedelta(days=settings.read("BERTH_WEBHOOK_RETENTION_DAYS", DAYS, 7)),
            listen=settings.read("BERTH_LISTEN", PORT, 8080),
            kubeconfig=settings.text("KUBECONFIG") or None,
        )
