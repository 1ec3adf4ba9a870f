"""Conditions of what a lease opens: Instances, FirewallRules and VPNClients."""

from typing import Final

from berth_core import state
from berth_core.machines.devices import MISSING
from berth_core.reasons.table import WAIT, Conditions, Reason

_PARTS: Final = (state.READY, state.POD_READY, state.NETWORK_READY, state.VPN_READY, state.REPOSITORY_READY)
_ENDS: Final = (state.ENDED, state.READY)
IN_FORCE: Final = "InForce"

_WAITING: Final = (
    Reason(
        "Waiting",
        (state.BOUND, state.READY),
        "The instance waits for its turn, or its user has as many leases as the quota allows.",
        "Wait, or end another instance. The message says which of both.",
    ),
    Reason("Bound", (state.BOUND,), "The instance has its deployment."),
)
_STARTING: Final = (
    Reason("Starting", _PARTS, "The pod starts, or a part of it does.", WAIT),
    Reason("Preparing", (state.READY, state.PREPARED), "The hook `prepare` runs; it comes before the pod.", WAIT),
    Reason("Prepared", (state.PREPARED,), "The hook `prepare` has succeeded."),
    Reason("Ready", (state.READY,), "ssh opens a shell."),
    Reason("Running", (state.POD_READY,), "sshd in the workspace listens."),
    Reason("Restarting", (state.READY, state.POD_READY), "A workspace that was ready starts again.", WAIT),
    Reason(
        "PodLost",
        (state.READY, state.POD_READY, state.NETWORK_READY),
        "The pod was evicted, deleted or lost its Secrets. Another is made under the same lease.",
        "Wait; where it repeats, look at the node's events.",
    ),
    Reason(
        "NodeLost",
        (state.READY, state.POD_READY),
        "The node is silent. The lease stays, since the workspace may still run there.",
        "Bring the node back, or `berth release DEPLOYMENT --force` when the machine is surely off.",
    ),
    Reason(
        "Unschedulable",
        (state.READY, state.POD_READY),
        "No node can run the pod. The start fails after 20 seconds.",
        "Check the type's resources, devices and node selector against the nodes.",
    ),
    Reason(
        "NotReported",
        (state.READY, state.POD_READY),
        "The kubelet has not reported the pod's containers.",
        "Wait; where it stays, look at the node.",
    ),
)
_NETWORK: Final = (
    Reason("InForce", (state.NETWORK_READY,), "The firewall is in force and packets arrive."),
    Reason(
        "PathUnverified",
        (state.NETWORK_READY,),
        "The firewall is in force; the operator could not try from its pod whether packets arrive.",
    ),
    Reason(
        "PathRefused",
        (state.NETWORK_READY, state.READY),
        "The node refuses packets to the announced address.",
        "Look at the log of kube-proxy on that node.",
    ),
    Reason(
        "AgentUnreachable",
        (state.NETWORK_READY, state.READY),
        "The agent in the pod has not answered several pushes. The last ruleset stays in force.",
        "Check the pod's container `agent`, and that the operator reaches pods.",
    ),
    Reason(
        "NoAddress",
        (state.NETWORK_READY, state.VPN_READY, state.READY),
        "No address that clients can use is known for the node or the load balancer.",
        "Set `instances.nodeAddresses`, or see why the load balancer gives no address.",
    ),
    Reason(
        "PortsExhausted",
        (state.NETWORK_READY,),
        "No node port is free.",
        "Widen `--service-node-port-range` of the API server, or end other instances.",
    ),
)
_VPN: Final = (
    Reason("Serving", (state.VPN_READY,), "Clients of the VPN can connect."),
    Reason(
        "NotOffered",
        (state.VPN_READY, state.REPOSITORY_READY),
        "This release offers no VPN, or clones no repositories.",
        "Set `vpn.enabled`, or `ci.image` for repositories.",
    ),
    Reason("NotRunning", (state.VPN_READY,), "The VPN's container does not run.", "Look at the pod's container `vpn`."),
    Reason(
        "NoTunnel",
        (state.VPN_READY,),
        "The VPN's container runs and has no tunnel.",
        "Correct `vpn.tun`; the message has the program's own words.",
    ),
)
_REPOSITORY: Final = (
    Reason("Cloning", (state.REPOSITORY_READY, state.READY), "The repository is being cloned.", WAIT),
    Reason("Cloned", (state.REPOSITORY_READY,), "The repository is in the workspace; the message names the commit."),
    Reason(
        "CloneFailed",
        (state.REPOSITORY_READY,),
        "The clone failed. The workspace runs without it. The message begins with one of the next words.",
        "Clone inside of the workspace, or take another instance once the cause is mended.",
    ),
    Reason(
        "Unfit",
        (state.REPOSITORY_READY,),
        "The URL or the folder cannot be used in workspaces of this type.",
        "Correct `repo` as the message says, in another instance.",
    ),
    Reason(
        "RepositoryTooLarge",
        (state.REPOSITORY_READY,),
        "The repository has more bytes than half of the workspace's disk.",
        "Clone inside with `--depth`, or ask for a type with more disk.",
    ),
    Reason(
        "FolderOccupied",
        (state.REPOSITORY_READY,),
        "The folder is not empty in the image.",
        "Name another folder in `repo.path`.",
    ),
    Reason(
        "CloneStopped",
        (state.REPOSITORY_READY,),
        "The clone was interrupted midway and is not tried again.",
        "Clone inside of the workspace.",
    ),
    Reason(
        "CloneBroken",
        (state.REPOSITORY_READY,),
        "The clone met an error of the system, such as a full disk.",
        "Clone inside of the workspace; the message has the error.",
    ),
)
_ISOLATION: Final = (
    Reason("Isolated", (state.USER_NAMESPACE,), "The pod has a user namespace: its root is nobody on the node."),
    Reason("TurnedOff", (state.USER_NAMESPACE,), "`instances.userNamespaces` is `never`.", "Set it to `auto`."),
    Reason(
        "NeedsTheNode",
        (state.USER_NAMESPACE,),
        "The pod has something of the node, such as a device, that works only without a user namespace.",
        "Nothing, or take that out of the type.",
    ),
    Reason(
        "RuntimeClassUnknown",
        (state.USER_NAMESPACE,),
        "The type's RuntimeClass was not there when the operator last looked.",
        "Make the RuntimeClass, or correct the type.",
    ),
    Reason(
        "NoNode",
        (state.USER_NAMESPACE,),
        "No node has the labels that the pod selects.",
        "Label a node, or correct the node selector.",
    ),
    Reason(
        "NodeCannot",
        (state.USER_NAMESPACE,),
        "The container runtime of a node that the pod may come to has no user namespaces.",
        "Update the runtime of that node, or select other nodes.",
    ),
    Reason(
        "MadeBefore",
        (state.USER_NAMESPACE,),
        "The pod was made when it could not have a user namespace.",
        "Nothing; the next instance has one.",
    ),
)
_ENDED: Final = (
    Reason(
        state.START_FAILED,
        _ENDS,
        "The instance could not start; clients see `INIT_FAIL`.",
        "Follow the message: it names the part of the type to correct.",
    ),
    Reason(state.TERMINATED, _ENDS, "The holder ended the instance, or an administrator did by `berth release`."),
    Reason(state.EXPIRED, _ENDS, "The instance's time was up.", "Take another; extend it before its end next time."),
    Reason(
        state.CLAIM_LOST,
        _ENDS,
        "The lease is not the instance's any more, or never was.",
        "Take another; the message names who has the lease or took it away.",
    ),
    Reason(state.DELETED, _ENDS, "The Instance object was deleted."),
    Reason(
        state.KEEP_ALIVE_LOST,
        _ENDS,
        "The holder asked for keep-alive, and no ping came for 60 seconds.",
        "Take another, and keep the client that pings running.",
    ),
    Reason(
        state.NEVER_MADE,
        _ENDS,
        "The request for the instance came to nothing. The object only reserves its name.",
        "Make the request again.",
    ),
    Reason(state.RESTORED, _ENDS, "The instance ran when etcd was restored from a backup.", "Take another."),
)
_CLEANED: Final = (
    Reason("Resetting", (state.CLEANED,), "The hook `reset` runs after the workspace's end.", WAIT),
    Reason("Checking", (state.CLEANED,), "The hook `healthCheck` runs after the workspace's end.", WAIT),
    Reason("Clean", (state.CLEANED,), "All hooks have succeeded; the deployment can be had."),
    Reason(
        "ResetFailed",
        (state.CLEANED,),
        "The hook `reset` failed. The deployment is quarantined.",
        "See to the machine, then `berth deployment release DEPLOYMENT`.",
    ),
    Reason(
        "HealthCheckFailed",
        (state.CLEANED,),
        "The hook `healthCheck` failed. The deployment is quarantined.",
        "See to the machine, then `berth deployment release DEPLOYMENT`.",
    ),
)
_RESTED: Final = (
    Reason("Switching", (state.RESTED,), "The keeper does what `onLeaseEnd` of the deployment's add-ons says.", WAIT),
    Reason("Done", (state.RESTED,), "The relays have done it."),
    Reason(
        "LeaseEndFailed",
        (state.RESTED,),
        "A relay did not do it in time. The deployment is quarantined.",
        "Bring the machine to rest by hand, then `berth deployment release DEPLOYMENT`.",
    ),
)
_MACHINE: Final = (
    Reason(
        "NoAnswer",
        (state.MACHINE_REACHABLE,),
        "The machine has stopped to answer the probe of its deployment's `spec.health` (with `duringLease`).",
        "Follow the message. The lease goes on; nobody else gets the machine.",
    ),
    Reason(
        MISSING,
        (state.MACHINE_REACHABLE,),
        "A device of the machine is gone, or its driver says that it is out of order.",
        "Follow the message. The lease goes on; nobody else gets the machine.",
    ),
    Reason("Answers", (state.MACHINE_REACHABLE,), "The machine answers, or has its devices, again."),
)
TABLES: Final = (
    Conditions(
        "Instance",
        {
            state.BOUND: "The instance has a deployment.",
            state.PREPARED: "The hook `prepare` has succeeded; only with such a hook.",
            state.POD_READY: "sshd in the workspace listens.",
            state.NETWORK_READY: "The firewall is in force, and packets to the address arrive.",
            state.VPN_READY: "Clients of the VPN can connect; only with `spec.vpn`.",
            state.REPOSITORY_READY: "The repository is cloned; only with `spec.repo`.",
            state.USER_NAMESPACE: "The pod has a user namespace.",
            state.READY: "ssh opens a shell.",
            state.ENDED: "All that the instance opened is gone. False with a reason: it ends.",
            state.CLEANED: "No hook is left to run after the end; only with such hooks.",
            state.RESTED: "The machine's relays have done what `onLeaseEnd` says; only with such add-ons.",
            state.MACHINE_REACHABLE: "The machine answers probes and has its devices; absent until it once did not.",
        },
        (*_WAITING, *_STARTING, *_NETWORK, *_VPN, *_REPOSITORY, *_ISOLATION, *_ENDED, *_CLEANED, *_RESTED, *_MACHINE),
    ),
    Conditions(
        "FirewallRule",
        {IN_FORCE: "The agent in the instance's pod has acknowledged the rule."},
        (
            Reason("InForce", (IN_FORCE,), "The agent enforces the rule."),
            Reason("PodLost", (IN_FORCE,), "The pod is gone; the rule comes into force with the next.", WAIT),
        ),
    ),
    Conditions(
        "VPNClient",
        {state.READY: "The client's certificate is signed, and its profile can be fetched."},
        (
            Reason("Signed", (state.READY,), "The profile can be fetched.", "`berth vpn get`."),
            Reason(
                "TooMany",
                (state.READY,),
                "The instance's VPN has signed as many clients as it may, revoked ones too.",
                "Use a profile that you have, or take another instance.",
            ),
        ),
    ),
)
