"""Settings of the notifier from its environment, read once (notifier/README.md lists the variables)."""

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
            keys=settings.path("BERTH_WEBHOOK_KEYS") or KEYS_FOLDER,
            ca_file=settings.path("BERTH_WEBHOOK_CA_FILE"),
            retention=timedelta(days=settings.read("BERTH_WEBHOOK_RETENTION_DAYS", DAYS, 7)),
            listen=settings.read("BERTH_LISTEN", PORT, 8080),
            kubeconfig=settings.text("KUBECONFIG") or None,
        )
