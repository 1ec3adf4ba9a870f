"""Configuration by environment variables; docs/reference/environment.md lists them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, TypeAdapter

from berth_core.archive.settings import ArchiveSettings, archive_settings
from berth_core.process.settings import COUNT, SWITCH, SettingError, Settings, split

LONGEST_TOKEN_LIFE: Final = 366 * 24 * 3600
KEYS_PER_USER: Final = 1000
MOST_CONNECTIONS: Final = 1000
BODY_SECONDS: Final = 30
ISSUER: Final = "berth"
JWKS_FILE: Final = Path("/etc/berth/token-verification/jwks.json")
WEBHOOK_KEY_FILE: Final = Path("/etc/berth/webhook-key/public-key")
VARIABLES: Final = {
    "BERTH_NAMESPACE": "The release's namespace.",
    "BERTH_WORKSPACE_NAMESPACES": "Namespaces with Berth's resources.",
    "BERTH_ACCESS_NAMESPACE": "Namespace of private keys that users may fetch.",
    "BERTH_LISTEN": "Address and port of the API.",
    "BERTH_METRICS_LISTEN": "Address and port of `/metrics`.",
    "BERTH_TLS_DIR": "Folder with `tls.crt` (the chain) and `tls.key`, PEM, read again when they change; plain HTTP"
    " where it is empty.",
    "BERTH_PUBLIC_URL": "Base of the URLs in `GET /`; the request's where it is empty.",
    "BERTH_TOKEN_ISSUER": "`iss` that tokens must have.",
    "BERTH_TOKEN_AUDIENCE": "`aud` that tokens must have.",
    "BERTH_JWKS_FILE": "Verification keys of tokens, read again when the file changes.",
    "BERTH_TOKEN_LONGEST_LIFE": "Seconds that `exp` of a token may lie ahead.",
    "BERTH_WEBHOOK_KEY_FILE": "Public key of webhooks, read for each request.",
    "BERTH_OIDC_ISSUER": "`iss` of a provider whose tokens count too.",
    "BERTH_OIDC_JWKS_URL": "URL of the provider's keys; set with the issuer.",
    "BERTH_OIDC_AUDIENCE": "`aud` that the provider's tokens must have.",
    "BERTH_OIDC_USER_PREFIX": "Prefix of the provider's `sub`; never empty.",
    "BERTH_OIDC_CA_FILE": "CA certificates (PEM) for that URL; the system's where it is empty.",
    "BERTH_RATE_LIMIT_PER_TOKEN": "Requests in a window for each token.",
    "BERTH_RATE_LIMIT_PER_PEER": "Requests in a window for each address without a token.",
    "BERTH_RATE_LIMIT_WINDOW": "Seconds of a window.",
    "BERTH_RATE_LIMIT_REFUSAL_STATUS": "Status of a refusal; 403 is the historic one.",
    "BERTH_RATE_LIMIT_SUPERUSERS_EXEMPT": "Whether superusers' tokens are not limited.",
    "BERTH_RATE_LIMIT_REDIS_URL": "Redis or Valkey that counts for all replicas, such as"
    " `redis://:password@host:6379/0`; each replica counts in memory where it is empty.",
    "BERTH_IDEMPOTENCY_KEYS_PER_USER": "Requests of one user with an Idempotency-Key whose answers are kept for 24 h.",
    "BERTH_TRUSTED_PROXIES": "Proxies whose `X-Forwarded-For` counts.",
    "BERTH_ALLOWED_ORIGINS": "Origins for CORS, or `*`.",
    "BERTH_MOST_CONNECTIONS": "Connections of clients at a time.",
    "BERTH_BODY_SECONDS": "Seconds that a client may take to send the body of a request.",
    "KUBECONFIG": "Way to the cluster; the pod's service account where it is empty.",
}


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
    body_seconds: int = BODY_SECONDS
    archive: ArchiveSettings | None = None
    """None where logs and artifacts of builds lie in ConfigMaps only."""


def _listen(text: str) -> Listen:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError("write an address and a port, such as 0.0.0.0:8080")
    return Listen(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104 (a pod's own address is not known ahead)


LISTEN: Final = TypeAdapter(Annotated[Listen, BeforeValidator(_listen), Field(description="ADDRESS:PORT")])
PROXIES: Final = TypeAdapter(
    Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(split), Field(description="networks, comma list")]
)
REFUSAL: Final = TypeAdapter(Annotated[Literal[429, 403], BeforeValidator(int)])


def from_environment(environment: Mapping[str, str]) -> Config:
    """Read the configuration. Raises SettingError."""
    settings = Settings(environment)
    namespaces = settings.words("BERTH_WORKSPACE_NAMESPACES", ("berth-workspaces",))
    if not namespaces:
        raise SettingError("BERTH_WORKSPACE_NAMESPACES is empty: name at least one namespace")
    return Config(
        namespace=settings.text("BERTH_NAMESPACE", "berth"),
        workspace_namespaces=namespaces,
        access_namespace=settings.text("BERTH_ACCESS_NAMESPACE", "berth-access"),
        listen=settings.read("BERTH_LISTEN", LISTEN, _listen(":8080")),
        metrics_listen=settings.read("BERTH_METRICS_LISTEN", LISTEN, _listen(":9090")),
        tls_folder=settings.path("BERTH_TLS_DIR", None),
        public_url=settings.text("BERTH_PUBLIC_URL").rstrip("/") or None,
        token_issuer=settings.text("BERTH_TOKEN_ISSUER", ISSUER),
        token_audience=settings.text("BERTH_TOKEN_AUDIENCE", "berth"),
        jwks_file=settings.path("BERTH_JWKS_FILE", JWKS_FILE),
        longest_token_life=settings.read("BERTH_TOKEN_LONGEST_LIFE", COUNT, LONGEST_TOKEN_LIFE),
        webhook_key_file=settings.path("BERTH_WEBHOOK_KEY_FILE", WEBHOOK_KEY_FILE),
        provider=_provider(settings, environment.get("BERTH_OIDC_USER_PREFIX", "oidc:")),
        rate_limit=RateLimit(
            per_token=settings.read("BERTH_RATE_LIMIT_PER_TOKEN", COUNT, 3600),
            per_peer=settings.read("BERTH_RATE_LIMIT_PER_PEER", COUNT, 60),
            window=settings.read("BERTH_RATE_LIMIT_WINDOW", COUNT, 3600),
            refusal_status=settings.read("BERTH_RATE_LIMIT_REFUSAL_STATUS", REFUSAL, 429),
            superusers_exempt=settings.read("BERTH_RATE_LIMIT_SUPERUSERS_EXEMPT", SWITCH, default=False),
            keys_per_user=settings.read("BERTH_IDEMPOTENCY_KEYS_PER_USER", COUNT, KEYS_PER_USER),
            redis_url=settings.text("BERTH_RATE_LIMIT_REDIS_URL") or None,
        ),
        trusted_proxies=settings.read("BERTH_TRUSTED_PROXIES", PROXIES, ()),
        allowed_origins=frozenset(settings.words("BERTH_ALLOWED_ORIGINS")),
        kubeconfig=settings.text("KUBECONFIG") or None,
        most_connections=settings.read("BERTH_MOST_CONNECTIONS", COUNT, MOST_CONNECTIONS),
        body_seconds=settings.read("BERTH_BODY_SECONDS", COUNT, BODY_SECONDS),
        archive=archive_settings(environment),
    )


def _provider(settings: Settings, prefix: str) -> Provider | None:
    issuer, url = settings.text("BERTH_OIDC_ISSUER"), settings.text("BERTH_OIDC_JWKS_URL")
    if not issuer and not url:
        return None
    if not issuer or urlsplit(url).scheme not in {"http", "https"}:
        raise SettingError("BERTH_OIDC_ISSUER and BERTH_OIDC_JWKS_URL (http or https) belong together")
    if issuer == settings.text("BERTH_TOKEN_ISSUER", ISSUER):
        raise SettingError("BERTH_OIDC_ISSUER must differ from BERTH_TOKEN_ISSUER, or one could speak for the other")
    if not prefix:
        raise SettingError("BERTH_OIDC_USER_PREFIX is empty: the provider's users need a prefix, such as oidc:")
    return Provider(
        issuer=issuer,
        audience=settings.text("BERTH_OIDC_AUDIENCE", "berth"),
        jwks_url=url,
        user_prefix=prefix,
        ca_file=settings.path("BERTH_OIDC_CA_FILE", None),
    )
