"""Possible results of a decision."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Self


class Step(Enum):
    """The next step of an instance. Each can be repeated."""

    SETTLED = auto()
    """Nothing to do until something changes."""
    FORGET = auto()
    """Take our finalizer off the Instance."""
    END = auto()
    """Write down that and why it ends."""
    TEAR_DOWN = auto()
    """Close and delete all that it opened; when nothing is left, give the lease back."""
    WAIT = auto()
    """Show that it waits for a deployment."""
    TURN = auto()
    """Let waiters be served, in their order."""
    MARK = auto()
    """Write down that the lease which was taken for it goes back, from when on it cannot be used."""
    RETURN = auto()
    """Give that lease back, when nothing that was kept warm for it is left."""
    RESERVE = auto()
    """Reserve devices for it that its pod was given, so that they stay its own when that pod is gone."""
    PREPARE = auto()
    """Start the hook that runs before the workspace is opened."""
    PREPARED = auto()
    """Write down that it has succeeded."""
    BIND = auto()
    """Open all that belongs to the lease and write down that it is bound."""
    OPEN = auto()
    """Make missing objects of the lease, the pod last."""
    RETIRE = auto()
    """Clear away a pod that will not serve again, the lease stays."""
    PUSH = auto()
    """Put rules and keys in force."""
    VPN = auto()
    """Ask whether the VPN serves, have it refuse revoked clients, sign new ones."""
    PROBE = auto()
    """Find out whether sshd listens and packets arrive."""
    REPORT = auto()
    """Write the status, where it differs."""


@dataclass(frozen=True)
class Plan:
    """A step, why it is taken, and when to look again if nothing happens before."""

    step: Step
    reason: str = ""
    """CamelCase, for conditions and for status.reason."""
    message: str = ""
    again_at: datetime | None = None

    @classmethod
    def settled(cls, again_at: datetime | None = None) -> Self:
        """Nothing to do now."""
        return cls(Step.SETTLED, again_at=again_at)
