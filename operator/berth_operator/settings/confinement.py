"""An administrator's settings that hold a pod apart from its node, besides its namespaces."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

RUNTIME_DEFAULT: Final = '{"type": "RuntimeDefault"}'


@dataclass(frozen=True)
class Confinement:
    """Settings of the pods of leases, or of those of builds."""

    runtime_class: str = ""
    """RuntimeClass where nothing else names one; empty for the node's default runtime."""
    seccomp: Mapping[str, str] = field(default_factory=lambda: dict(orjson.loads(RUNTIME_DEFAULT)))
    """``seccompProfile`` of containers that do a user's work."""
    app_armor: Mapping[str, str] = field(default_factory=dict)
    """``appArmorProfile`` of them; empty for what the node's runtime does by itself."""

    def profiles(self) -> dict[str, Mapping[str, str]]:
        """Fields of a container's security context."""
        return {"seccompProfile": self.seccomp} | ({"appArmorProfile": self.app_armor} if self.app_armor else {})


def confinement(environment: Mapping[str, str], prefix: str) -> Confinement:
    """Read the variables that begin with the prefix; ValueError names the one that is malformed."""
    return Confinement(
        runtime_class=environment.get(f"{prefix}_RUNTIME_CLASS", ""),
        seccomp=_profile(environment, f"{prefix}_SECCOMP_PROFILE", RUNTIME_DEFAULT),
        app_armor=_profile(environment, f"{prefix}_APPARMOR_PROFILE", "{}"),
    )


def _profile(environment: Mapping[str, str], name: str, default: str) -> dict[str, str]:
    try:
        found = orjson.loads(environment.get(name) or default)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{name} is not JSON") from error
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError(f"{name} must be a JSON object such as {RUNTIME_DEFAULT}")
    return found
