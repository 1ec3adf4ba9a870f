"""Texts and conditions for the holder of a machine that stops answering or loses a device. Pure."""

from typing import Final

from berth_core import state
from berth_core.kube.conditions import Condition, find
from berth_core.machines.devices import FOUND, MISSING
from berth_core.resources import Instance, WorkspaceDeployment

REACHABLE: Final = "Reachable"
"""Condition of a WorkspaceDeployment."""


def silence(wd: WorkspaceDeployment | None) -> Condition | None:
    """Return the condition of a machine that does not answer, or lacks a device; None for others."""
    entry = find(wd.status.conditions, REACHABLE) if wd is not None else None
    if entry is not None and entry.status == "False":
        return entry
    entry = find(wd.status.conditions, FOUND) if wd is not None else None
    return entry if entry is not None and entry.reason == MISSING else None


def notice(wd: WorkspaceDeployment | None) -> str:
    """Text for the holder's shell, one line; empty while the machine answers or nobody asks it."""
    entry = silence(wd)
    if wd is None or entry is None:
        return ""
    what = "has not answered" if entry.type == REACHABLE else "has lacked a device"
    return f"The machine {wd.metadata.name} {what} since {entry.last_transition_time}: {entry.message}.\n"


def machine_reachable(instance: Instance, wd: WorkspaceDeployment | None) -> dict[str, tuple[bool, str, str]]:
    """Return the entry of an Instance's condition, empty where none is due."""
    if (entry := silence(wd)) is not None:
        return {state.MACHINE_REACHABLE: (False, entry.reason, entry.message)}
    if find(instance.status.conditions, state.MACHINE_REACHABLE) is None:
        return {}
    return {state.MACHINE_REACHABLE: (True, "Answers", "the machine answers again")}
