"""Adds a deployment's overrides to its type's template. Pure.

Overrides add entries, and replace plain environment variables: so two machines of one type get their addresses. They
never change the template's node labels and devices: the template may have power over its node, and the writer of the
deployment need not.
"""

from typing import Final, TypeVar

from berth_core.resources.workspacedeployment import Overrides
from berth_core.resources.workspacetype import Template

CONFLICT: Final = "OverridesConflict"
"""Condition of a deployment whose overrides contradict its type's template; it is not leased."""
V = TypeVar("V")


def node_selector(template: Template, overrides: Overrides) -> dict[str, str]:
    """Labels of the nodes that a machine's pods run on."""
    return overrides.node_selector | template.node_selector


def devices(template: Template, overrides: Overrides) -> dict[str, int]:
    """Amounts of devices that a machine's pods get."""
    added = {name: amount for name, amount in overrides.devices.items() if _is_device(template, name)}
    return added | template.devices


def conflicts(template: Template, overrides: Overrides) -> list[str]:
    """Return each override without effect, as a path within spec.overrides; empty where all have effect."""
    nodes = _others(overrides.node_selector, template.node_selector)
    devices = _others(overrides.devices, template.devices)
    devices |= {name for name in overrides.devices if not _is_device(template, name)}
    return [f"nodeSelector[{name}]" for name in sorted(nodes)] + [f"devices[{name}]" for name in sorted(devices)]


def _others(these: dict[str, V], those: dict[str, V]) -> set[str]:
    return {key for key in these.keys() & those.keys() if these[key] != those[key]}


def _is_device(template: Template, name: str) -> bool:
    """Whether it names a device: not cpu, memory or the like, nor a resource that the template bounds itself."""
    bounded = template.resources.limits.keys() | template.resources.requests.keys()
    return "/" in name and name not in bounded
