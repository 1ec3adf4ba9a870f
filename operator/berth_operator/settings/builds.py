"""How builds are made, from the operator's environment (operator/README.md lists the variables)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import orjson

from berth_core import durations
from berth_core.firewall import Network, parse_network
from berth_operator.settings.confinement import Confinement, confinement


@dataclass(frozen=True)
class Bounds:
    """How much is kept, as a number of objects or of bytes."""

    per_user: int
    """Of one user in one namespace."""
    per_namespace: int


OPEN: Final = "open"
NOWHERE: Final = "none"
KEPT_BUILDS: Final = Bounds(per_user=200, per_namespace=2000)
KEPT_BYTES: Final = Bounds(per_user=64 * 1024 * 1024, per_namespace=512 * 1024 * 1024)
LARGEST_LOG: Final = 32 * 1024 * 1024
LARGEST_ARTIFACTS: Final = 32 * 1024 * 1024
"""Bytes: 64 parts of what the cluster keeps in one object are more than either, and a node's logs may be less."""
_RESOURCES: Final = '{"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}'
_IMAGES: Final = "docker.io/library"


@dataclass(frozen=True)
class CiSettings:
    """Settings of builds."""

    image: str
    pull_policy: str = "IfNotPresent"
    concurrent: int = 5
    per_user: int = 2
    most_waiting: int = 100
    """Of one user."""
    max_timeout: int = 6 * 3600
    """Seconds that a script may ask for."""
    egress: tuple[Network, ...] = ()
    """Where scripts without a machine may connect to."""
    public: bool = True
    """Whether these may connect to all public addresses besides."""
    allowed: tuple[Network, ...] = ()
    """Networks of repositories though they are not public."""
    repository_ports: frozenset[int] = frozenset()
    """Ports that repositories may have besides the usual ones. Scripts reach them too, wherever repositories may be."""
    log_max_bytes: int = 4 * 1024 * 1024
    artifacts_max_bytes: int = 1024 * 1024
    kept_retention: timedelta = timedelta(days=7)
    """How long logs and artifacts are kept; their Builds may stay for longer."""
    kept_builds: Bounds = KEPT_BUILDS
    """How many builds have them."""
    kept_bytes: Bounds = KEPT_BYTES
    """How large they are together."""
    disk: str = "2Gi"
    resources: Mapping[str, Any] = field(default_factory=lambda: dict(orjson.loads(_RESOURCES)))
    """Requests and limits of the script."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    confinement: Confinement = field(default_factory=Confinement)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    allowed_images: tuple[str, ...] = (_IMAGES,)
    """Beginnings of names of images; ``*`` for every registry that has a name."""
    allowed_users: frozenset[str] = frozenset({"*"})
    """Users who may build; ``*`` for everyone."""


def ci_settings(environment: Mapping[str, str]) -> CiSettings | None:
    """Read the variables; None where no image is given. ValueError names the one that is malformed."""
    image = environment.get("BERTH_CI_IMAGE", "").strip()
    if not image:
        return None
    reached = [word.strip() for word in (environment.get("BERTH_CI_EGRESS") or OPEN).split(",")]
    return CiSettings(
        image=image,
        pull_policy=environment.get("BERTH_CI_IMAGE_PULL_POLICY") or "IfNotPresent",
        concurrent=_number(environment, "BERTH_CI_CONCURRENT", 5),
        per_user=_number(environment, "BERTH_CI_MAX_PER_USER", 2),
        most_waiting=_number(environment, "BERTH_CI_MAX_WAITING_PER_USER", 100),
        max_timeout=int(_length(environment, "BERTH_CI_MAX_TIMEOUT", "6h").total_seconds()),
        egress=_networks("BERTH_CI_EGRESS", ",".join(word for word in reached if word not in (OPEN, NOWHERE))),
        public=OPEN in reached,
        allowed=_networks("BERTH_CI_ALLOWED_CIDRS", environment.get("BERTH_CI_ALLOWED_CIDRS", "")),
        repository_ports=_ports(environment, "BERTH_CI_REPOSITORY_PORTS"),
        log_max_bytes=min(_number(environment, "BERTH_CI_LOG_MAX_BYTES", 4 * 1024 * 1024), LARGEST_LOG),
        artifacts_max_bytes=min(_number(environment, "BERTH_CI_ARTIFACTS_MAX_BYTES", 1024 * 1024), LARGEST_ARTIFACTS),
        kept_retention=_length(environment, "BERTH_CI_KEPT_RETENTION", "7d"),
        kept_builds=bounds(environment, "BERTH_CI_KEPT_BUILDS", KEPT_BUILDS),
        kept_bytes=bounds(environment, "BERTH_CI_KEPT_BYTES", KEPT_BYTES),
        disk=environment.get("BERTH_CI_DISK") or "2Gi",
        resources=_object(environment, "BERTH_CI_RESOURCES", _RESOURCES),
        node_selector=_object(environment, "BERTH_CI_NODE_SELECTOR", "{}"),
        confinement=confinement(environment, "BERTH_CI"),
        tolerations=tuple(_list(environment, "BERTH_CI_TOLERATIONS", "[]")),
        allowed_images=_words(environment.get("BERTH_CI_ALLOWED_IMAGES", _IMAGES)),
        allowed_users=frozenset(_words(environment.get("BERTH_CI_ALLOWED_USERS", "*"))),
    )


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"{name} is {text!r}; write a whole number from 1 on")
    return int(text)


def bounds(environment: Mapping[str, str], name: str, default: Bounds) -> Bounds:
    """Read ``<name>_PER_USER`` and ``<name>_PER_NAMESPACE``; ValueError names the one that is malformed."""
    return Bounds(
        per_user=_number(environment, f"{name}_PER_USER", default.per_user),
        per_namespace=_number(environment, f"{name}_PER_NAMESPACE", default.per_namespace),
    )


def _length(environment: Mapping[str, str], name: str, default: str) -> timedelta:
    try:
        return durations.parse(environment.get(name) or default)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _networks(name: str, text: str) -> tuple[Network, ...]:
    try:
        return tuple(map(parse_network, _words(text)))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _ports(environment: Mapping[str, str], name: str) -> frozenset[int]:
    words = _words(environment.get(name, ""))
    if not all(word.isdecimal() and 0 < int(word) < 65536 for word in words):
        raise ValueError(f"{name} is {environment[name]!r}; write port numbers, separated by commas")
    return frozenset(map(int, words))


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _object(environment: Mapping[str, str], name: str, default: str) -> dict[str, Any]:
    found = _json(environment, name, default)
    if not isinstance(found, dict):
        raise ValueError(f"{name} must be a JSON object")
    return found


def _list(environment: Mapping[str, str], name: str, default: str) -> list[Any]:
    found = _json(environment, name, default)
    if not isinstance(found, list):
        raise ValueError(f"{name} must be a JSON list")
    return found


def _json(environment: Mapping[str, str], name: str, default: str) -> Any:
    try:
        return orjson.loads(environment.get(name) or default)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{name} is not JSON") from error
