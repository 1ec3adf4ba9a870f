"""Which deployment an Instance without a claim gets, and when. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from berth_core import leasing
from berth_core.resources import Instance, WorkspaceDeployment


def applies(instance: Instance, wd: WorkspaceDeployment) -> bool:
    """Whether the Instance may have the deployment."""
    if instance.metadata.namespace != wd.metadata.namespace:
        return False
    if instance.spec.deployments is not None:
        return wd.metadata.name in instance.spec.deployments
    return wd.spec.type == instance.spec.workspace_type


def turn(instance: Instance) -> tuple[str, str, str]:
    """Sort key of those that wait: the older one first."""
    return instance.metadata.creation_timestamp, instance.metadata.name, instance.metadata.namespace


def best_first(
    instance: Instance, deployments: Iterable[WorkspaceDeployment], now: datetime
) -> list[WorkspaceDeployment]:
    """Free deployments that it may have: newest type version first, then the fewest instances, then by name."""
    free = (wd for wd in deployments if applies(instance, wd) and leasing.availability(wd, now=now).status == "True")
    return sorted(free, key=lambda wd: (-wd.spec.type_version, wd.status.instances, wd.metadata.name))


def may_take(
    instance: Instance, waiting: Sequence[Instance], deployments: Sequence[WorkspaceDeployment], now: datetime
) -> list[WorkspaceDeployment]:
    """Free deployments for which no older waiting Instance stands in front of it, best first."""
    older = [other for other in waiting if turn(other) < turn(instance)]
    return [wd for wd in best_first(instance, deployments, now) if not any(applies(other, wd) for other in older)]


def obstacle(instance: Instance, waiting: Sequence[Instance], deployments: Sequence[WorkspaceDeployment]) -> str:
    """Why it cannot have any now, in a sentence."""
    wanted = [wd for wd in deployments if applies(instance, wd)]
    if not wanted:
        if instance.spec.deployments is not None:
            return f"there is no WorkspaceDeployment named {', '.join(instance.spec.deployments)}"
        return f"there is no WorkspaceDeployment of type {instance.spec.workspace_type}"
    older = [other for other in waiting if turn(other) < turn(instance) and any(applies(other, wd) for wd in wanted)]
    names = ", ".join(wd.metadata.name for wd in wanted)
    place = f"; {len(older)} older Instances wait too" if older else ""
    return f"none is free of {names}{place}"
