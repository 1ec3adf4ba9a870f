"""Settings of the notifier from its environment, read once (notifier/README.md lists the variables)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from berth_core.firewall import Network
from berth_notifier.addresses import Policy, networks

KEYS_FOLDER: Final = "/etc/berth/webhook-signing"


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
        """Read the variables; ValueError names the one that is missing or malformed."""
        namespaces = _words(environment.get("BERTH_WORKSPACE_NAMESPACES", ""))
        if not namespaces:
            raise ValueError("the environment variable BERTH_WORKSPACE_NAMESPACES is not set")
        ca_file = environment.get("BERTH_WEBHOOK_CA_FILE")
        return cls(
            namespace=environment.get("BERTH_NAMESPACE") or "berth",
            workspace_namespaces=namespaces,
            status_secrets=_words(environment.get("BERTH_STATUS_SECRETS", "")),
            policy=Policy(
                allowed=_networks(environment, "BERTH_WEBHOOK_ALLOWED_CIDRS"),
                blocked=_networks(environment, "BERTH_BLOCKED_CIDRS"),
                machines=_networks(environment, "BERTH_MACHINE_CIDRS"),
            ),
            keys=Path(environment.get("BERTH_WEBHOOK_KEYS") or KEYS_FOLDER),
            ca_file=Path(ca_file) if ca_file else None,
            retention=timedelta(days=_number(environment, "BERTH_WEBHOOK_RETENTION_DAYS", 7, 3650)),
            listen=_number(environment, "BERTH_LISTEN", 8080, 65535),
            kubeconfig=environment.get("KUBECONFIG") or None,
        )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _networks(environment: Mapping[str, str], variable: str) -> tuple[Network, ...]:
    try:
        return networks(_words(environment.get(variable, "")))
    except ValueError as error:
        raise ValueError(f"{variable} takes networks in CIDR notation: {error}") from error


def _number(environment: Mapping[str, str], variable: str, default: int, most: int) -> int:
    text = environment.get(variable) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise ValueError(f"{variable} is {text!r}; write a whole number from 1 to {most}")
    return int(text)
