"""Texts and conditions for the holder of a machine that stops answering. Pure."""

from typing import Final

from berth_core import state
from berth_core.kube.conditions import Condition, find
from berth_core.resources import Instance, WorkspaceDeployment

REACHABLE: Final = "Reachable"
"""Condition of a WorkspaceDeployment."""


def silence(wd: WorkspaceDeployment | None) -> Condition | None:
    """Return the condition of a machine that does not answer; None for others."""
    entry = find(wd.status.conditions, REACHABLE) if wd is not None else None
    return entry if entry is not None and entry.status == "False" else None


def notice(wd: WorkspaceDeployment | None) -> str:
    """Text for the holder's shell, one line; empty while the machine answers or nobody asks it."""
    entry = silence(wd)
    if wd is None or entry is None:
        return ""
    return f"The machine {wd.metadata.name} has not answered since {entry.last_transition_time}: {entry.message}.\n"


def machine_reachable(instance: Instance, wd: WorkspaceDeployment | None) -> dict[str, tuple[bool, str, str]]:
    """Return the entry of an Instance's condition, empty where none is due."""
    if (entry := silence(wd)) is not None:
        return {state.MACHINE_REACHABLE: (False, entry.reason, entry.message)}
    if find(instance.status.conditions, state.MACHINE_REACHABLE) is None:
        return {}
    return {state.MACHINE_REACHABLE: (True, "Answers", "the machine answers again")}
