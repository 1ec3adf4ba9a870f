"""How builds are made, from the operator's environment (docs/reference/environment.md lists the variables)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, Json, TypeAdapter

from berth_core.firewall import Network, parse_network
from berth_core.process.settings import AMOUNT, LENGTH, NETWORKS, OBJECT, PORTS, TEXTS, Settings, split
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
LONGEST_TIMEOUT: Final = timedelta(hours=6)
KEPT_RETENTION: Final = timedelta(days=7)
RESOURCES: Final = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
_IMAGES: Final = "docker.io/library"


def _egress(text: str) -> tuple[bool, tuple[Network, ...]]:
    words = split(text)
    return OPEN in words, tuple(parse_network(word) for word in words if word not in (OPEN, NOWHERE))


VARIABLES: Final = {
    "BERTH_CI_IMAGE": "Image that runs in builds beside their scripts; without it nothing is built.",
    "BERTH_CI_IMAGE_PULL_POLICY": "Pull policy of that image.",
    "BERTH_CI_CONCURRENT": "Builds of a workspace namespace that run at the same time.",
    "BERTH_CI_MAX_PER_USER": "Builds of one user among them; also those of one user that wait for machines.",
    "BERTH_CI_MAX_WAITING_PER_USER": "Builds of one user that may wait for their turn.",
    "BERTH_CI_MAX_TIMEOUT": "Longest `timeout` of a script.",
    "BERTH_CI_EGRESS": "Destinations of scripts without a machine; `open` are public addresses.",
    "BERTH_CI_ALLOWED_CIDRS": "Networks of repositories though they are not public.",
    "BERTH_CI_REPOSITORY_PORTS": "Ports that repositories may have besides 22, 80, 443 and 9418.",
    "BERTH_CI_LOG_MAX_BYTES": "Bytes of the end of a log that are kept; 33554432 at most.",
    "BERTH_CI_ARTIFACTS_MAX_BYTES": "Bytes of artifacts, compressed; 33554432 at most.",
    "BERTH_CI_KEPT_RETENTION": "Time for which logs and artifacts are kept.",
    "BERTH_CI_KEPT_BUILDS_PER_USER": "Builds of one user in a workspace namespace that have logs and artifacts.",
    "BERTH_CI_KEPT_BUILDS_PER_NAMESPACE": "Builds in a workspace namespace that have them.",
    "BERTH_CI_KEPT_BYTES_PER_USER": "Bytes of logs and artifacts of one user in a workspace namespace.",
    "BERTH_CI_KEPT_BYTES_PER_NAMESPACE": "Bytes of logs and artifacts in a workspace namespace.",
    "BERTH_CI_DISK": "Size of the work folder, as Kubernetes writes quantities.",
    "BERTH_CI_RESOURCES": "Requests and limits of the script.",
    "BERTH_CI_NODE_SELECTOR": "Labels of the nodes for builds.",
    "BERTH_CI_RUNTIME_CLASS": "RuntimeClass of pods of builds.",
    "BERTH_CI_SECCOMP_PROFILE": "`seccompProfile` of scripts.",
    "BERTH_CI_APPARMOR_PROFILE": "`appArmorProfile` of scripts; empty for the runtime's own.",
    "BERTH_CI_TOLERATIONS": "Taints that pods of builds tolerate.",
    "BERTH_CI_ALLOWED_IMAGES": "Beginnings of names of images for scripts; `*` for every registry that has a name.",
    "BERTH_CI_ALLOWED_USERS": "Users who may build; `*` for everyone.",
}
EGRESS: Final = TypeAdapter(
    Annotated[
        tuple[bool, tuple[Network, ...]],
        BeforeValidator(_egress),
        Field(description="`none`, or networks and `open`, comma list"),
    ]
)
"""Whether public addresses are reached, and the networks that are reached besides."""
OBJECTS: Final = TypeAdapter(Annotated[Json[tuple[Mapping[str, Any], ...]], Field(description="JSON list of objects")])


@dataclass(frozen=True)
class CiSettings:
    """Settings of builds."""

    image: str
    pull_policy: str = "IfNotPresent"
    concurrent: int = 5
    per_user: int = 2
    most_waiting: int = 100
    """Of one user."""
    max_timeout: int = int(LONGEST_TIMEOUT.total_seconds())
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
    kept_retention: timedelta = KEPT_RETENTION
    """How long logs and artifacts are kept; their Builds may stay for longer."""
    kept_builds: Bounds = KEPT_BUILDS
    """How many builds have them."""
    kept_bytes: Bounds = KEPT_BYTES
    """How large they are together."""
    disk: str = "2Gi"
    resources: Mapping[str, Any] = field(default_factory=RESOURCES.copy)
    """Requests and limits of the script."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    confinement: Confinement = field(default_factory=Confinement)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    allowed_images: tuple[str, ...] = (_IMAGES,)
    """Beginnings of names of images; ``*`` for every registry that has a name."""
    allowed_users: frozenset[str] = frozenset({"*"})
    """Users who may build; ``*`` for everyone."""


def ci_settings(environment: Mapping[str, str]) -> CiSettings | None:
    """Read the variables; None where no image is given. Raises SettingError."""
    settings = Settings(environment)
    if not (image := settings.text("BERTH_CI_IMAGE")):
        return None
    public, egress = settings.read("BERTH_CI_EGRESS", EGRESS, (True, ()))
    return CiSettings(
        image=image,
        pull_policy=settings.text("BERTH_CI_IMAGE_PULL_POLICY", "IfNotPresent"),
        concurrent=settings.read("BERTH_CI_CONCURRENT", AMOUNT, 5),
        per_user=settings.read("BERTH_CI_MAX_PER_USER", AMOUNT, 2),
        most_waiting=settings.read("BERTH_CI_MAX_WAITING_PER_USER", AMOUNT, 100),
        max_timeout=int(settings.read("BERTH_CI_MAX_TIMEOUT", LENGTH, LONGEST_TIMEOUT).total_seconds()),
        egress=egress,
        public=public,
        allowed=settings.read("BERTH_CI_ALLOWED_CIDRS", NETWORKS, ()),
        repository_ports=settings.read("BERTH_CI_REPOSITORY_PORTS", PORTS, frozenset()),
        log_max_bytes=min(settings.read("BERTH_CI_LOG_MAX_BYTES", AMOUNT, 4 << 20), LARGEST_LOG),
        artifacts_max_bytes=min(settings.read("BERTH_CI_ARTIFACTS_MAX_BYTES", AMOUNT, 1 << 20), LARGEST_ARTIFACTS),
        kept_retention=settings.read("BERTH_CI_KEPT_RETENTION", LENGTH, KEPT_RETENTION),
        kept_builds=bounds(settings, "BERTH_CI_KEPT_BUILDS", KEPT_BUILDS),
        kept_bytes=bounds(settings, "BERTH_CI_KEPT_BYTES", KEPT_BYTES),
        disk=settings.text("BERTH_CI_DISK", "2Gi"),
        resources=settings.read("BERTH_CI_RESOURCES", OBJECT, RESOURCES),
        node_selector=settings.read("BERTH_CI_NODE_SELECTOR", TEXTS, {}),
        confinement=confinement(settings, "BERTH_CI"),
        tolerations=settings.read("BERTH_CI_TOLERATIONS", OBJECTS, ()),
        allowed_images=settings.words("BERTH_CI_ALLOWED_IMAGES", (_IMAGES,)),
        allowed_users=frozenset(settings.words("BERTH_CI_ALLOWED_USERS", ("*",))),
    )


def bounds(settings: Settings, name: str, default: Bounds) -> Bounds:
    """Read ``<name>_PER_USER`` and ``<name>_PER_NAMESPACE``. Raises SettingError."""
    return Bounds(
        per_user=settings.read(f"{name}_PER_USER", AMOUNT, default.per_user),
        per_namespace=settings.read(f"{name}_PER_NAMESPACE", AMOUNT, default.per_namespace),
    )
