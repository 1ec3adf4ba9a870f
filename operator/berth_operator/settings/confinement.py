"""An administrator's settings that hold a pod apart from its node, besides its namespaces."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from berth_core.process.settings import TEXTS, Settings

RUNTIME_DEFAULT: Final = {"type": "RuntimeDefault"}


@dataclass(frozen=True)
class Confinement:
    """Settings of the pods of leases, or of those of builds."""

    runtime_class: str = ""
    """RuntimeClass where nothing else names one; empty for the node's default runtime."""
    seccomp: Mapping[str, str] = field(default_factory=RUNTIME_DEFAULT.copy)
    """``seccompProfile`` of containers that do a user's work."""
    app_armor: Mapping[str, str] = field(default_factory=dict)
    """``appArmorProfile`` of them; empty for what the node's runtime does by itself."""

    def profiles(self) -> dict[str, Mapping[str, str]]:
        """Fields of a container's security context."""
        return {"seccompProfile": self.seccomp} | ({"appArmorProfile": self.app_armor} if self.app_armor else {})


def confinement(settings: Settings, prefix: str) -> Confinement:
    """Read the variables that begin with the prefix. Raises SettingError."""
    return Confinement(
        runtime_class=settings.text(f"{prefix}_RUNTIME_CLASS"),
        seccomp=settings.read(f"{prefix}_SECCOMP_PROFILE", TEXTS, RUNTIME_DEFAULT),
        app_armor=settings.read(f"{prefix}_APPARMOR_PROFILE", TEXTS, {}),
    )
