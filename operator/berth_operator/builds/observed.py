"""Observed state of a build, for :mod:`berth_operator.builds.decide`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pydantic import Field, ValidationError

from berth_core.kube.containers import Container
from berth_core.kube.model import Model
from berth_core.resources import Build, Project

UNREAD: Final = "it was deleted before anybody read what it had come to"


class Report(Model):
    """A step's report in its termination message."""

    commit: str | None = Field(None, pattern=r"^[0-9a-f]{40,64}$")
    image: str | None = Field(None, max_length=512)
    workspace: str | None = Field(None, pattern=r"^[A-Za-z_0-9]+$", max_length=128)
    timeout: int | None = Field(None, ge=1)
    error: str | None = Field(None, pattern=r"^[A-Za-z]+$", max_length=128)
    message: str = Field("", max_length=4096)

    @property
    def whole(self) -> bool:
        """Whether it says what to run."""
        return self.error is None and None not in (self.commit, self.image, self.timeout)


@dataclass(frozen=True)
class PodSeen:
    """The pod of a step."""

    name: str
    ip: str = ""
    reason: str = ""
    created: datetime | None = None
    containers: Mapping[str, Container] = field(default_factory=dict)

    def container(self, name: str) -> Container:
        """Observed state of a container."""
        return self.containers.get(name, Container())


@dataclass(frozen=True)
class StepSeen:
    """A Job of the build; ``failed`` is why it has failed, in the cluster's word, or ``UNREAD``."""

    failed: str = ""
    pod: PodSeen | None = None


@dataclass(frozen=True)
class MachineSeen:
    """The Instance that the build has."""

    public_id: str
    bound: bool = False
    ready: bool = False
    over: str = ""
    """Why it ends or has ended."""
    message: str = ""
    waits_for: str = ""
    host: str = ""
    port: int = 0
    host_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class SeenBuild:
    """A build and all that belongs to it."""

    build: Build
    project: Project | None = None
    forbidden: str = ""
    """Why nothing is fetched from its repository."""
    ahead: int = 0
    """How many of the same user's builds wait before it."""
    most_waiting: int = 1
    allowed_images: tuple[str, ...] = ("*",)
    allowed_users: frozenset[str] = frozenset({"*"})
    """Users who may build; ``*`` for everyone."""
    fetch: StepSeen | None = None
    run: StepSeen | None = None
    machine: MachineSeen | None = None
    refused: tuple[str, str] | None = None
    """Why its user will never have the machine that it wants: reason and message."""
    door: str = ""
    """Address that the machine's firewall lets in for it."""
    pods: bool = False
    """Some pod of it is there."""
    remains: bool = False
    """It is over, and a Job, a pod or a machine of it still exists."""
    clock_trusted: bool = True


def parse_report(text: str) -> Report | None:
    """Read a termination message; None where it is no report."""
    try:
        return Report.model_validate_json(text) if text else None
    except ValidationError:
        return None
