"""Configuration by environment variables; api/README.md lists them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from berth_core.archive.settings import ArchiveSettings, archive_settings

LONGEST_TOKEN_LIFE: Final = 366 * 24 * 3600
KEYS_PER_USER: Final = 1000
MOST_CONNECTIONS: Final = 1000


class ConfigError(Exception):
    """A variable has an unusable value; the message names it and says what to write."""


@dataclass(frozen=True)
class Listen:
    """An address to listen on."""

    host: str
    port: int


@dataclass(frozen=True)
class RateLimit:
    """Requests that a window allows, for each token and for each peer address without one; times in seconds."""

    per_token: int
    per_peer: int
    window: int
    refusal_status: int
    superusers_exempt: bool
    redis_url: str | None = field(repr=False)
    """It can hold a password."""
    keys_per_user: int = KEYS_PER_USER
    """Records of one user's requests with an Idempotency-Key that stay for 24 h, in that time."""


@dataclass(frozen=True)
class Provider:
    """An OIDC provider whose tokens count beside ours."""

    issuer: str
    audience: str
    jwks_url: str
    user_prefix: str
    ca_file: Path | None


@dataclass(frozen=True)
class Config:
    """Configuration of the process. See :func:`from_environment`."""

    namespace: str
    workspace_namespaces: tuple[str, ...]
    access_namespace: str
    listen: Listen
    metrics_listen: Listen
    tls_folder: Path | None
    """With ``tls.crt`` and ``tls.key``; None for plain HTTP."""
    public_url: str | None
    token_issuer: str
    token_audience: str
    jwks_file: Path
    longest_token_life: int
    """Seconds."""
    webhook_key_file: Path
    provider: Provider | None
    rate_limit: RateLimit
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    allowed_origins: frozenset[str]
    kubeconfig: str | None
    most_connections: int = MOST_CONNECTIONS
    archive: ArchiveSettings | None = None
    """None where logs and artifacts of builds lie in ConfigMaps only."""


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
        tls_folder=Path(folder) if (folder := environment.get("BERTH_TLS_DIR")) else None,
        public_url=(environment.get("BERTH_PUBLIC_URL") or "").rstrip("/") or None,
        token_issuer=environment.get("BERTH_TOKEN_ISSUER") or "berth",
        token_audience=environment.get("BERTH_TOKEN_AUDIENCE") or "berth",
        jwks_file=Path(environment.get("BERTH_JWKS_FILE") or "/etc/berth/token-verification/jwks.json"),
        longest_token_life=_number(environment, "BERTH_TOKEN_LONGEST_LIFE", LONGEST_TOKEN_LIFE),
        webhook_key_file=Path(environment.get("BERTH_WEBHOOK_KEY_FILE") or "/etc/berth/webhook-key/public-key"),
        provider=_provider(environment),
        rate_limit=RateLimit(
            per_token=_number(environment, "BERTH_RATE_LIMIT_PER_TOKEN", 3600),
            per_peer=_number(environment, "BERTH_RATE_LIMIT_PER_PEER", 60),
            window=_number(environment, "BERTH_RATE_LIMIT_WINDOW", 3600),
            refusal_status=_refusal_status(environment.get("BERTH_RATE_LIMIT_REFUSAL_STATUS") or "429"),
            superusers_exempt=_switch(environment, "BERTH_RATE_LIMIT_SUPERUSERS_EXEMPT"),
            keys_per_user=_number(environment, "BERTH_IDEMPOTENCY_KEYS_PER_USER", KEYS_PER_USER),
            redis_url=environment.get("BERTH_RATE_LIMIT_REDIS_URL") or None,
        ),
        trusted_proxies=_networks(environment.get("BERTH_TRUSTED_PROXIES", "")),
        allowed_origins=frozenset(_words(environment.get("BERTH_ALLOWED_ORIGINS", ""))),
        kubeconfig=environment.get("KUBECONFIG") or None,
        most_connections=_number(environment, "BERTH_MOST_CONNECTIONS", MOST_CONNECTIONS),
        archive=_archive(environment),
    )


def _archive(environment: Mapping[str, str]) -> ArchiveSettings | None:
    try:
        return archive_settings(environment)
    except ValueError as error:
        raise ConfigError(str(error)) from error


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


def _number(environment: Mapping[str, str], variable: str, default: int) -> int:
    text = environment.get(variable) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= 2**31 - 1:
        raise ConfigError(f"{variable}={text!r} is no positive whole number, such as {default}")
    return int(text)


def _refusal_status(text: str) -> int:
    if text not in {"429", "403"}:
        raise ConfigError(f"BERTH_RATE_LIMIT_REFUSAL_STATUS={text!r} is neither 429 nor the historic 403")
    return int(text)


def _switch(environment: Mapping[str, str], variable: str) -> bool:
    text = environment.get(variable) or "false"
    if text not in {"true", "false"}:
        raise ConfigError(f"{variable}={text!r} is neither true nor false")
    return text == "true"


def _provider(environment: Mapping[str, str]) -> Provider | None:
    issuer, url = environment.get("BERTH_OIDC_ISSUER") or "", environment.get("BERTH_OIDC_JWKS_URL") or ""
    if not issuer and not url:
        return None
    if not issuer or urlsplit(url).scheme not in {"http", "https"}:
        raise ConfigError("BERTH_OIDC_ISSUER and BERTH_OIDC_JWKS_URL (http or https) belong together")
    if issuer == (environment.get("BERTH_TOKEN_ISSUER") or "berth"):
        raise ConfigError("BERTH_OIDC_ISSUER must differ from BERTH_TOKEN_ISSUER, or one could speak for the other")
    prefix = environment.get("BERTH_OIDC_USER_PREFIX", "oidc:")
    if not prefix:
        raise ConfigError("BERTH_OIDC_USER_PREFIX is empty: the provider's users need a prefix, such as oidc:")
    ca_file = environment.get("BERTH_OIDC_CA_FILE")
    return Provider(
        issuer=issuer,
        audience=environment.get("BERTH_OIDC_AUDIENCE") or "berth",
        jwks_url=url,
        user_prefix=prefix,
        ca_file=Path(ca_file) if ca_file else None,
    )
