"""Where the kinds that the operator touches are served, and which of them it watches."""

from typing import Final

from berth_core import names
from berth_core.kube.types import Kind
from berth_core.resources import (
    AccessRule,
    Account,
    Build,
    Delivery,
    FirewallRule,
    Instance,
    IssuedToken,
    Project,
    Reservation,
    TokenRevocation,
    VPNClient,
    WorkspaceDeployment,
    WorkspaceType,
)

TYPES: Final = WorkspaceType.api()
DEPLOYMENTS: Final = WorkspaceDeployment.api()
INSTANCES: Final = Instance.api()
RESERVATIONS: Final = Reservation.api()
RULES: Final = FirewallRule.api()
VPN_CLIENTS: Final = VPNClient.api()
DELIVERIES: Final = Delivery.api()
ACCESS_RULES: Final = AccessRule.api()
ACCOUNTS: Final = Account.api()
ISSUED: Final = IssuedToken.api()
REVOCATIONS: Final = TokenRevocation.api()
PROJECTS: Final = Project.api()
BUILDS: Final = Build.api()
PODS: Final = Kind("v1", "pods")
SERVICES: Final = Kind("v1", "services")
SECRETS: Final = Kind("v1", "secrets")
CONFIG_MAPS: Final = Kind("v1", "configmaps")
JOBS: Final = Kind("batch/v1", "jobs")
NODES: Final = Kind("v1", "nodes", namespaced=False)
POLICIES: Final = Kind("networking.k8s.io/v1", "networkpolicies")
QUOTAS: Final = Kind("v1", "resourcequotas")
BUDGETS: Final = Kind("policy/v1", "poddisruptionbudgets")
LEASES: Final = Kind("coordination.k8s.io/v1", "leases")
EVENTS: Final = Kind("events.k8s.io/v1", "events")

OURS: Final = {names.MANAGED_BY_LABEL: names.MANAGED_BY}

WATCHED: Final[dict[Kind, dict[str, str]]] = {
    TYPES: {},
    DEPLOYMENTS: {},
    INSTANCES: {},
    RULES: {},
    VPN_CLIENTS: {},
    RESERVATIONS: {},
    ACCESS_RULES: {},
    PROJECTS: {},
    BUILDS: {},
    PODS: OURS,
    SERVICES: OURS,
    JOBS: OURS,
    LEASES: {names.HEARTBEAT_LABEL: "true"},
    NODES: {},
}
"""Each watched kind with the labels that choose its objects."""
