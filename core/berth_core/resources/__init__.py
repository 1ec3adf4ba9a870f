"""The resources of the group ``berth.dev``, typed."""

from berth_core.kube.model import parse_time, timestamp
from berth_core.resources.accessrule import AccessRule, AccessRuleSpec
from berth_core.resources.account import Account, AccountSpec
from berth_core.resources.base import Resource, manifest, oldest
from berth_core.resources.build import Build, BuildSpec
from berth_core.resources.connector import Connector, ConnectorSpec
from berth_core.resources.delivery import Delivery, DeliverySpec
from berth_core.resources.firewallrule import FirewallRule, FirewallRuleSpec
from berth_core.resources.instance import Instance, InstanceSpec
from berth_core.resources.project import Project, ProjectSpec
from berth_core.resources.reservation import Reservation, ReservationSpec
from berth_core.resources.token import IssuedToken, IssuedTokenSpec, TokenRevocation, TokenRevocationSpec
from berth_core.resources.vpnclient import VPNClient, VPNClientSpec
from berth_core.resources.workspacedeployment import WorkspaceDeployment, WorkspaceDeploymentSpec
from berth_core.resources.workspacetype import WorkspaceType, WorkspaceTypeSpec

KINDS: tuple[type[Resource], ...] = (
    WorkspaceType,
    WorkspaceDeployment,
    Instance,
    Reservation,
    FirewallRule,
    VPNClient,
    AccessRule,
    Account,
    IssuedToken,
    TokenRevocation,
    Delivery,
    Project,
    Build,
    Connector,
)

__all__ = [
    "KINDS",
    "AccessRule",
    "AccessRuleSpec",
    "Account",
    "AccountSpec",
    "Build",
    "BuildSpec",
    "Connector",
    "ConnectorSpec",
    "Delivery",
    "DeliverySpec",
    "FirewallRule",
    "FirewallRuleSpec",
    "Instance",
    "InstanceSpec",
    "IssuedToken",
    "IssuedTokenSpec",
    "Project",
    "ProjectSpec",
    "Reservation",
    "ReservationSpec",
    "Resource",
    "TokenRevocation",
    "TokenRevocationSpec",
    "VPNClient",
    "VPNClientSpec",
    "WorkspaceDeployment",
    "WorkspaceDeploymentSpec",
    "WorkspaceType",
    "WorkspaceTypeSpec",
    "manifest",
    "oldest",
    "parse_time",
    "timestamp",
]
