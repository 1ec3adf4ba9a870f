"""How a deployment looks in lists. Pure."""

from typing import Any, Final

from berth_api.cache.deployment import Deployment
from berth_core.resources import WorkspaceType

POWER: Final = "power"
"""Name of the add-on of a machine that holders work over HTTP."""


def deployment_info(
    deployment: Deployment, kind: WorkspaceType | None, description: str, queue_length: int
) -> dict[str, Any]:
    """Shape a deployment's entry in lists with ``info``."""
    spec, status = deployment.resource.spec, deployment.resource.status
    return (
        _reasons(deployment)
        | _machine(deployment)
        | {
            "type": deployment.type,
            "type_version": spec.type_version,
            "supported_addons": _addons(deployment, kind),
            "desc": description,
            "region": spec.region,
            "icounter": status.instances,
            "created": deployment.resource.metadata.creation_timestamp,
            "queuelen": queue_length,
            "online": deployment.is_online,
        }
    )


def _machine(deployment: Deployment) -> dict[str, Any]:
    """Say how a machine is reached, where it has endpoints: its ports. Its addresses are for its owners."""
    network = deployment.resource.network
    return {"machine": {"network": {"ports": [port.text() for port in network.ports]}}} if network is not None else {}


def _addons(deployment: Deployment, kind: WorkspaceType | None) -> list[str]:
    """Names of the add-ons that its type and its machine offer."""
    of_type = kind.spec.supported_addons if kind is not None else []
    of_machine = [one.name for one in deployment.resource.addons if one.name not in of_type and one.name == POWER]
    return [*of_type, *of_machine]


def _reasons(deployment: Deployment) -> dict[str, Any]:
    """Say why nobody, or only an owner, gets a deployment; empty for others.

    The sentence of the condition names addresses of the lab, so everybody sees its word alone.
    """
    reasons: dict[str, Any] = {}
    if (maintenance := deployment.resource.maintenance) is not None:
        reasons["maintenance"] = maintenance.wire()
    if (absence := deployment.absence) is not None:
        reasons["offline"] = f"{absence.reason} since {absence.last_transition_time}"
    return reasons
