"""Conditions of WorkspaceDeployments."""

from typing import Final

from berth_core import overrides
from berth_core.leases.availability import AVAILABLE, BEGUN, CLEANING, QUARANTINED
from berth_core.machines import devices, placement
from berth_core.reasons.table import WAIT, Conditions, Reason
from berth_core.resources.workspacedeployment import MAINTENANCE

ONLINE: Final = "Online"
REACHABLE: Final = "Reachable"
ID_CONFLICT: Final = "IdConflict"

_AVAILABLE: Final = (
    Reason(
        "Dissolved",
        (AVAILABLE,),
        "The deployment was dissolved: it stays for its history only.",
        "Make another deployment for the machine.",
    ),
    Reason("Leased", (AVAILABLE,), "An instance has the deployment; the message names the user.", WAIT),
    Reason("Deleting", (AVAILABLE,), "The deployment is being deleted, and what was made of it goes.", WAIT),
    Reason(
        "Lockout",
        (AVAILABLE,),
        "`spec.lockout` refuses new instances.",
        "`berth deployment unlock DEPLOYMENT` when the machine may be lent again.",
    ),
    Reason(
        "Maintenance",
        (AVAILABLE,),
        "Owners alone may lease the deployment; the message says why and until when.",
        "Wait, or `berth deployment maintain DEPLOYMENT --end` when the machine may be lent again.",
    ),
    Reason("Offline", (AVAILABLE,), "The condition Online is False.", "See Online."),
    Reason(
        "New",
        (AVAILABLE,),
        "The operator has not looked at the deployment or its latest change, or objects of an earlier one are left.",
        "Wait; where it stays, check that the operator runs.",
    ),
    Reason("Free", (AVAILABLE,), "The deployment can be had."),
)
_ONLINE: Final = (
    Reason("NoHeartbeat", (ONLINE,), "`spec.heartbeat` is `none`: the deployment counts as online."),
    Reason("NodeReady", (ONLINE,), "A node that the deployment selects is Ready."),
    Reason(
        "NodeNotReady",
        (ONLINE,),
        "No node that the deployment selects is Ready.",
        "Bring the node back, label a node, or correct the node selector.",
    ),
    Reason("HeartbeatSeen", (ONLINE,), "The machine renews its Lease."),
    Reason("HeartbeatLost", (ONLINE,), "The machine has not renewed its Lease in time.", "Look after the machine."),
    Reason(
        "HeartbeatAwaited",
        (ONLINE,),
        "The Lease is there and was never renewed.",
        "Start what renews it on the machine.",
    ),
    Reason(
        "LeaseMissing",
        (ONLINE,),
        "`spec.heartbeat` is `lease`, and there is no such Lease.",
        "Make the Lease that the message names.",
    ),
    Reason(
        placement.OUTSIDE,
        (ONLINE, REACHABLE),
        "An address in `spec.machine.network` lies outside of `instances.machineCidrs`, so that others may reach it.",
        "Add its network to `instances.machineCidrs`, or correct the address.",
    ),
    Reason(
        placement.OUT_OF_REACH,
        (ONLINE, REACHABLE),
        "An address in `spec.machine.network` is one that nobody reaches, such as the cluster's own.",
        "Give the machine another address.",
    ),
    Reason(
        placement.IN_USE,
        (ONLINE, REACHABLE),
        "An address and a port in `spec.machine.network` belong to another deployment, which the message names.",
        "Give each deployment addresses or ports of its own; where a lease has them, wait for its end.",
    ),
    Reason(
        placement.NOT_GRANTED,
        (ONLINE, REACHABLE),
        "The MachineGrant in `spec.grant` does not cover the machine, or is full with older ones.",
        "Change the grant or the machine; or take out `spec.grant`, to answer for the machine yourself.",
    ),
)
_DEVICES: Final = (
    Reason(devices.FOUND, (devices.FOUND,), "Each of `spec.machine.devices` is there, and there once."),
    Reason(
        devices.MISSING,
        (devices.FOUND, ONLINE, REACHABLE),
        "No driver offers a device of `spec.machine.devices`, it has a taint, or its DeviceClass is not there.",
        "Plug the device in, look at its driver, or correct the selectors: the message says which device it is.",
    ),
    Reason(
        devices.AMBIGUOUS,
        (devices.FOUND, ONLINE, REACHABLE),
        "More than one device fits what `spec.machine.devices` selects.",
        "Select one alone, such as by its serial number.",
    ),
    Reason(
        devices.AWAITED,
        (devices.FOUND, ONLINE, REACHABLE),
        "The operator has not read the ResourceSlices of the driver yet.",
        "Wait; where it stays, look at the operator's log.",
    ),
    Reason(
        devices.NOT_PROVEN,
        (devices.FOUND,),
        "The selectors are more than equalities: Berth cannot tell whether the device is there, and there once.",
        "Write the selectors as equalities of driver and attributes, joined by `&&`.",
    ),
    Reason("NoDevices", (devices.FOUND,), "`spec.machine` names no device any more."),
)
_REACHABLE: Final = (
    Reason("Answers", (REACHABLE, ONLINE), "The machine answers the probe of `spec.health`."),
    Reason(
        "NoAnswer",
        (REACHABLE, ONLINE),
        "The machine did not answer as often in a row as `spec.health.failures` says.",
        "Look whether it is switched on and in its network; its first answer brings it back.",
    ),
    Reason(
        "AnswerAwaited",
        (REACHABLE, ONLINE),
        "The machine has not answered since the probe was set.",
        "Switch it on, or correct `spec.health`.",
    ),
    Reason(
        "AddressMissing",
        (REACHABLE, ONLINE),
        "The probe has no address.",
        "Set `spec.machine.network.addresses` or `spec.health.host`.",
    ),
    Reason(
        "AddressForbidden",
        (REACHABLE, ONLINE),
        "The operator connects to no such address, so that the machine is not probed.",
        "Have its network added to `instances.machineCidrs`, or correct the address: the message says which.",
    ),
    Reason("NotProbed", (REACHABLE,), "`spec.health` is not set any more."),
    Reason("UnderMaintenance", (MAINTENANCE,), "`spec.maintenance` is set; the message says why and until when.", WAIT),
    Reason("MaintenanceOver", (MAINTENANCE,), "The maintenance was ended, or its time is over."),
)
_BETWEEN: Final = (
    Reason("Remains", (BEGUN,), "Objects of an earlier deployment of this name are left.", WAIT),
    Reason("NothingLeft", (BEGUN,), "Nothing of an earlier deployment of this name is left."),
    Reason("HooksRun", (CLEANING,), "A hook runs between the last holder and the next.", WAIT),
    Reason("HooksEnded", (CLEANING,), "No hook runs."),
    Reason("Cleaning", (AVAILABLE,), "A hook runs between the last holder and the next.", WAIT),
)
_SEE: Final = "See to the machine, then `berth deployment release DEPLOYMENT`."
_QUARANTINE: Final = (
    Reason("Quarantined", (AVAILABLE,), "The condition Quarantined is True.", "See Quarantined."),
    Reason("ResetFailed", (QUARANTINED,), "The hook `reset` failed after the last lease.", _SEE),
    Reason("HealthCheckFailed", (QUARANTINED,), "The hook `healthCheck` failed after the last lease.", _SEE),
    Reason("TypeMissing", (QUARANTINED,), "The type, which has the hooks, was gone when the lease ended.", _SEE),
    Reason(
        "NodeLost",
        (QUARANTINED,),
        "The node is silent while a pod of the holder's must end on it.",
        "Bring the node back, or `berth release DEPLOYMENT --force` when the machine is surely off.",
    ),
    Reason("Sound", (QUARANTINED,), "Nothing is known against the machine."),
    Reason("Released", (QUARANTINED,), "An administrator ended the quarantine."),
)
_CONFLICTS: Final = (
    Reason("Unique", (ID_CONFLICT,), "No older deployment has the same id."),
    Reason(
        "IdConflict",
        (ID_CONFLICT, AVAILABLE),
        "An older deployment has the same id.",
        "Delete one of the two, or give one another `spec.id`.",
    ),
    Reason("Adds", (overrides.CONFLICT,), "The overrides only add to the template."),
    Reason(
        "Differs",
        (overrides.CONFLICT,),
        "The overrides would change what the type's template says.",
        "Take that out of the overrides, or change the template.",
    ),
    Reason("OverridesConflict", (AVAILABLE,), "The condition OverridesConflict is True.", "See Differs."),
)
_WALLS: Final = (
    Reason("TwoWalls", (placement.WALLED,), "The ruleset in the pod holds machines, and the NetworkPolicy around it."),
    Reason(
        "OneWall",
        (placement.WALLED,),
        "The type gives workspaces the power to get past their ruleset: the NetworkPolicy alone holds machines.",
        "Take `privileged` and the capabilities NET_ADMIN, NET_RAW and SYS_ADMIN from the type's template, or see that"
        " the cluster enforces NetworkPolicy from a pod's first packet on.",
    ),
)
_INBOUND: Final = (
    Reason(
        "Standing", (placement.INBOUND,), "The message says where the machine connects to; it holds for all leases."
    ),
    Reason(
        "NodeNotPinned",
        (placement.INBOUND,),
        "Leases may run on any node, so the machine has no one address to connect to.",
        "Name a node in `spec.overrides.nodeSelector`: `kubernetes.io/hostname: NODE`.",
    ),
    Reason(
        "NoAddress",
        (placement.INBOUND,),
        "The node or the load balancer has no IPv4 address.",
        "Set `nodeAddresses` in the chart's values, or see to the load balancer.",
    ),
    Reason(
        "NameTaken",
        (placement.INBOUND,),
        "A Service that somebody else made has the name of the machine's, which leads nowhere meanwhile.",
        "Delete the Service that the message names.",
    ),
    Reason(
        "Refused",
        (placement.INBOUND,),
        "The cluster refuses the machine's Service or its endpoints; the operator tries again.",
        "The message has the cluster's words: raise the quota, or correct `spec.machine.network.inbound`.",
    ),
    Reason("NotAsked", (placement.INBOUND,), "`spec.machine.network.inbound` names no port any more."),
)
TABLES: Final = (
    Conditions(
        "WorkspaceDeployment",
        {
            AVAILABLE: "The deployment can be had now.",
            ONLINE: "The heartbeat and the probe say that the machine is there, as far as they are asked for, and its"
            " endpoints and devices may be lent.",
            REACHABLE: "The machine answers the operator's probes; absent until `spec.health` was set.",
            MAINTENANCE: "Owners alone may lease the machine; absent until `spec.maintenance` was set.",
            BEGUN: "Nothing of an earlier deployment of this name is left; absent where there was none.",
            CLEANING: "A hook runs between the last holder and the next.",
            QUARANTINED: "The deployment is not lent until the cause is gone or an administrator releases it.",
            ID_CONFLICT: "An older deployment has the same id.",
            placement.WALLED: "Two walls hold the machine's endpoints; only with `spec.machine.network`.",
            placement.INBOUND: "The machine has an address at which it reaches its workspaces; only with"
            " `spec.machine.network.inbound`.",
            devices.FOUND: "The machine's devices are there, each once; absent until `spec.machine.devices` was set.",
            overrides.CONFLICT: "The overrides contradict the type's template; absent where they never did.",
        },
        (*_AVAILABLE, *_ONLINE, *_DEVICES, *_REACHABLE, *_BETWEEN, *_QUARANTINE, *_CONFLICTS, *_WALLS, *_INBOUND),
    ),
)
