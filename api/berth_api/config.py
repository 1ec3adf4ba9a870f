"""Configuration by environment variables; api/README.md lists them."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path


class ConfigError(Exception):
    """A variable has a value that cannot be used; the message says which and what to write."""


@dataclass(frozen=True)
class Listen:
    """An address to listen on."""

    host: str
    port: int


@dataclass(frozen=True)
class Config:
    """What the process was told. See :func:`from_environment`."""

    namespace: str
    workspace_namespaces: tuple[str, ...]
    access_namespace: str
    listen: Listen
    metrics_listen: Listen
    public_url: str | None
    token_issuer: str
    token_audience: str
    jwks_file: Path
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    allowed_origins: frozenset[str]
    kubeconfig: str | None


def from_environment(environment: Mapping[str, str]) -> Config:
    """Read the configuration. Raises ConfigError."""
    namespaces = _words(environment.get("BERTH_WORKSPACE_NAMESPACES", "berth-workspaces"))
    if not namespaces:
        raise ConfigError("BERTH_WORKSPACE_NAMESPACES names no namespace")
    return Config(
        namespace=environment.get("BERTH_NAMESPACE") or "berth",
        workspace_namespaces=namespaces,
        access_namespace=environment.get("BERTH_ACCESS_NAMESPACE") or "berth-access",
        listen=_listen("BERTH_LISTEN", environment.get("BERTH_LISTEN") or "0.0.0.0:8080"),
        metrics_listen=_listen("BERTH_METRICS_LISTEN", environment.get("BERTH_METRICS_LISTEN") or ":9090"),
        public_url=(environment.get("BERTH_PUBLIC_URL") or "").rstrip("/") or None,
        token_issuer=environment.get("BERTH_TOKEN_ISSUER") or "berth",
        token_audience=environment.get("BERTH_TOKEN_AUDIENCE") or "berth",
        jwks_file=Path(environment.get("BERTH_JWKS_FILE") or "/etc/berth/token-verification/jwks.json"),
        trusted_proxies=_networks(environment.get("BERTH_TRUSTED_PROXIES", "")),
        allowed_origins=frozenset(_words(environment.get("BERTH_ALLOWED_ORIGINS", ""))),
        kubeconfig=environment.get("KUBECONFIG") or None,
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _listen(variable: str, text: str) -> Listen:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"{variable}={text!r} is no address and port, such as 0.0.0.0:8080")
    return Listen(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104 (a pod's own address is not known ahead)


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(word) for word in _words(text))
    except ValueError as error:
        raise ConfigError(f"BERTH_TRUSTED_PROXIES takes networks in CIDR notation: {error}") from error
