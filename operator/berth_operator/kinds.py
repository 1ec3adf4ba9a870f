"""Kinds that the operator touches, and the sorts of keys in its work queue."""

from typing import Final

from berth_core import names
from berth_core.kube.types import Kind
from berth_core.resources import (
    AccessRule,
    Account,
    Build,
    Connector,
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
CONNECTORS: Final = Connector.api()
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

INSTANCE: Final = "instance"
DEPLOYMENT: Final = "deployment"
TYPE: Final = "type"
POLICY: Final = "policy"
"""The NetworkPolicy of a WorkspaceType, by the type's name."""
RESERVATION: Final = "reservation"
BUILD: Final = "build"
CONNECTOR: Final = "connector"
"""Sorts of keys that name an object of that kind."""
ORPHAN: Final = "orphan"
BUILD_REMAINS: Final = "build-remains"
"""Remains of an instance or of a build that does not exist, by its public id."""
TURN: Final = "turn"
"""Waiters for a type, by its typeName."""
WARM: Final = "warm"
"""Pods that are kept warm for a WorkspaceDeployment, by its name."""
PLACES: Final = "places"
"""Turns of a namespace's builds; without a name."""
READABILITY: Final = "readability"
"""Whether an object can be read, by its plural and name."""
RELIST: Final = "relist"
"""A fresh list of one kind, by its plural, or of all."""
ACCESS: Final = "access"
EXPIRY: Final = "expiry"
HISTORY: Final = "history"
SLOTS: Final = "slots"
LATE: Final = "late"
"""Sweeps without a name: of private keys without an instance, of what has expired, of history, of slots whose taker is
gone, and of a former leader's writes."""
