"""A deployment with a relay, and leases of it."""

from berth_core import ids, names
from berth_core.kube.types import Object
from berth_core.resources import Relay as RelayResource

from ..operator.lab import INSTANCES, PODS, RELAYS, Lab, condition
from .process import keep, keeper_pod
from .relay import Relay

SECRET = "pdu-a"


def machine(do: str | None = "off", secret: str = SECRET) -> Object:
    """spec.machine of a deployment with a relay."""
    addon = {"name": "power", "kind": "relay", "secret": secret}
    return {"addons": [addon | ({"onLeaseEnd": do} if do else {})]}


async def lent(lab: Lab, pdu: Relay, do: str | None = "off", *, hooks: Object | None = None) -> None:
    """A deployment `one` with a relay that a keeper may work, once it can be had."""
    await keeper_pod(lab)
    await keep(lab, SECRET, pdu.secret(f"{lab.namespace}/one"))
    await lab.type(hooks=hooks or {})
    await lab.deployment("one", machine=machine(do))


async def borrowed(lab: Lab, name: str, type_name: str = "bench") -> str:
    """An Instance that has the deployment, with its pod; its id."""
    await lab.instance(name, workspaceType=type_name)
    made = await lab.until(INSTANCES, name, lambda o: condition(o, "Bound", "status") == "True", seconds=45)
    public_id = str(made["metadata"]["uid"])
    await lab.until(PODS, f"i-{public_id}", bool, seconds=20)
    return public_id


def relay_name(lab: Lab, deployment: str = "one") -> str:
    """Name of the deployment's Relay."""
    return names.relay_object(ids.deployment_id(lab.namespace, deployment), "power")


async def relay(lab: Lab, deployment: str = "one") -> RelayResource:
    """The Relay as it is now."""
    return RelayResource.parse(await lab.client.get(RELAYS, lab.namespace, relay_name(lab, deployment)))
