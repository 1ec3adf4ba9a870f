"""Whether a machine behind a connector may be lent, and what a pod's agent needs to reach it."""

from typing import Final

import orjson

from berth_core import names
from berth_core.connectors.conditions import AT_REST, CONNECTED
from berth_core.kube.conditions import find, is_true
from berth_core.kube.errors import NotFoundError
from berth_core.machines.placement import Fault
from berth_core.reading import readable
from berth_core.resources import Connector, WorkspaceDeployment
from berth_core.resources.workspacedeployment import MachineConnector
from berth_operator.connectors.authority import Connecting, authority
from berth_operator.connectors.words import named
from berth_operator.engine.world import World
from berth_operator.errors import OperatorError
from berth_operator.kinds import CONNECTORS, DEPLOYMENTS, SERVICES

MISSING: Final = "ConnectorMissing"
GONE: Final = "ConnectorGone"
NOT_AT_REST: Final = "MachineNotAtRest"
SHARED: Final = "TargetInUse"
HUB_PORT: Final = "links"


def fault(world: World, wd: WorkspaceDeployment) -> Fault | None:
    """Why a deployment's machine is not lent; None where it may be, or it is behind no connector."""
    if named(wd) is None:
        return None
    siblings = readable(WorkspaceDeployment, world.cache[DEPLOYMENTS].by("connector", key(wd)))
    return judge(wd, _connector(world, wd.metadata.namespace, named(wd) or ""), siblings)


def judge(wd: WorkspaceDeployment, connector: Connector | None, siblings: list[WorkspaceDeployment]) -> Fault | None:
    """Decide the same by what is known of the connector and of all deployments that name it. Pure."""
    way = wd.spec.machine.connector if wd.spec.machine is not None else None
    if way is None:
        return None
    if connector is None:
        return Fault(MISSING, f"there is no Connector {way.name}: `berth connector enroll {way.name}` makes it")
    own = _age(wd)
    for other in siblings:
        shared = targets(way) & targets(other.spec.machine.connector if other.spec.machine is not None else None)
        if shared and _age(other) < own:
            message = (
                f"deployment {other.metadata.name}, which is older, has {min(shared)} of Connector {way.name} too:"
                " give each machine one deployment"
            )
            return Fault(SHARED, message)
    if not is_true(connector.status.conditions, CONNECTED):
        return Fault(GONE, f"the host of Connector {way.name} is not linked: see `berth-connector status` there")
    rest = find(connector.status.conditions, AT_REST)
    if rest is not None and rest.status == "False":
        return Fault(NOT_AT_REST, f"Connector {way.name}: {rest.message}")
    return None


def key(wd: WorkspaceDeployment) -> str:
    """Key of the index of deployments by their connector."""
    return f"{wd.metadata.namespace}/{named(wd)}"


def targets(way: MachineConnector | None) -> set[str]:
    """Targets of a machine behind a connector."""
    return {port.target for port in way.ports} if way is not None else set()


async def machine_file(world: World, wd: WorkspaceDeployment, way: MachineConnector, epoch: int) -> bytes:
    """Return what the agent of a lease needs: where the hub is, whom it trusts, and the word that opens streams.

    Raises OperatorError where the connector or the hub is missing, ClusterError where the cluster is away.
    """
    connector = _connector(world, wd.metadata.namespace, way.name)
    if connector is None:
        raise OperatorError(f"there is no Connector {way.name}: `berth connector enroll {way.name}` makes it")
    root = (await authority(world)).pair.certificate
    signer = world.state(Connecting).signer
    if signer is None:
        raise OperatorError(f"Secret {names.CONNECTOR_CA_SECRET} has no key of words")
    word = signer.sign("open", connector.metadata.uid, wd.metadata.uid, epoch, sorted(targets(way)))
    content = {
        "hub": await hub(world),
        "authority": root,
        "word": word,
        "ports": {str(port.port): port.target for port in way.ports},
    }
    return orjson.dumps(content)


async def hub(world: World) -> list[object]:
    """Return address and port of the hub's Service. Raises OperatorError where there is none."""
    try:
        service = await world.client.get(SERVICES, world.config.namespace, names.HUB_CONFIGMAP)
    except NotFoundError as error:
        raise OperatorError("there is no hub: set hub.enabled in the chart's values") from error
    (port,) = [port["port"] for port in service["spec"]["ports"] if port.get("name") == HUB_PORT]
    return [service["spec"]["clusterIP"], port]


def _age(wd: WorkspaceDeployment) -> tuple[str, str]:
    return wd.metadata.creation_timestamp, wd.metadata.uid


def _connector(world: World, namespace: str, name: str) -> Connector | None:
    obj = world.cache[CONNECTORS].get(namespace, name)
    return Connector.parse(obj) if obj is not None and not obj["metadata"].get("deletionTimestamp") else None
