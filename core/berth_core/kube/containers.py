"""Reads the containers of a pod as the kubelet reported them last. Pure."""

from dataclasses import dataclass
from datetime import datetime

from berth_core.kube.model import parse_time
from berth_core.kube.types import Object


@dataclass(frozen=True)
class Container:
    """One container."""

    state: str = "waiting"
    """``running``, ``waiting`` or ``terminated``."""
    id: str = ""
    reason: str = ""
    """Why it waits or ended."""
    message: str = ""
    restarts: int = 0
    exit_code: int = 0
    """Of one that ended."""
    started: datetime | None = None
    finished: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether it will do no more."""
        return self.state == "terminated"


def reported(pod: Object) -> dict[str, Container]:
    """Return the containers by name: init containers, the pod's own, and ephemeral ones."""
    status = pod.get("status") or {}
    groups = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    return {entry["name"]: _container(entry) for group in groups for entry in status.get(group) or ()}


def _container(entry: Object) -> Container:
    state = entry.get("state") or {}
    word = next((word for word in ("running", "terminated", "waiting") if word in state), "waiting")
    detail = state.get(word) or {}
    started, finished = detail.get("startedAt"), detail.get("finishedAt")
    return Container(
        state=word,
        id=entry.get("containerID") or "",
        reason=detail.get("reason") or "",
        message=detail.get("message") or "",
        restarts=int(entry.get("restartCount") or 0),
        exit_code=int(detail.get("exitCode") or 0),
        started=parse_time(started) if started else None,
        finished=parse_time(finished) if finished else None,
    )
