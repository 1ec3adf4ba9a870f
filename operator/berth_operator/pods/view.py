"""Reads a pod object into what decisions need. Pure."""

from dataclasses import dataclass
from datetime import datetime

from berth_core import names
from berth_core.kube.containers import Container, reported
from berth_core.kube.model import parse_time
from berth_core.kube.types import Object
from berth_core.leases.epochs import epoch_of
from berth_operator.pods.cordon import tolerates_cordon

ORDINARY = ("NotReported", "ContainerCreating", "PodInitializing")
"""Reasons of containers that are on their way."""

CONTROLLERS = "kube-controller-manager"


NOT_REPORTED = Container(reason="NotReported")


@dataclass(frozen=True)
class PodView:
    """The pod of an instance."""

    uid: str
    epoch: int
    phase: str
    created: datetime
    deleting: bool
    """It has a deletionTimestamp."""
    finalized: bool
    """It carries our finalizer still."""
    node: str = ""
    """Where it is bound to; empty while it is not scheduled."""
    ip: str = ""
    isolated: bool = False
    """It has a user namespace of its own."""
    agent: Container = NOT_REPORTED
    workspace: Container = NOT_REPORTED
    vpn: Container = NOT_REPORTED
    """Of an instance that has one."""
    repository: Container | None = None
    """The container that clones a repository into the workspace; None where the pod was made without."""
    wall: Container = NOT_REPORTED
    """The one with which a hook's pod begins (ADR 0052)."""
    containers: tuple[Container, ...] = ()
    """All that the spec names, init containers and ephemeral ones too."""
    unschedulable_since: datetime | None = None
    unschedulable: str = ""
    """The scheduler's message."""
    tolerates_cordon: bool = False
    """The scheduler binds it to cordoned nodes too."""
    presumed: bool = False
    """Its phase was written by a controller of Kubernetes', which knows nothing of the containers."""
    forced: bool = False
    """An administrator attests that its containers are gone."""
    reason: str = ""
    """Why it failed, such as Evicted."""
    name: str = ""
    """Its name, which its Service has too."""
    type: str = ""
    """WorkspaceType whose NetworkPolicy holds it; empty for one that an earlier version made."""
    made_from: str = ""
    """Digest of what a warm one was made from."""
    host_key: str = ""
    """Public host key of a warm one."""
    nonce: str | None = None
    """In the names of a warm one's Secrets; None for one that an earlier version made."""

    @property
    def needed(self) -> tuple[Container, ...]:
        """Containers that must run for a shell, in the order of the start; the cloning one only until it has ended."""
        cloning = self.repository is not None and self.repository.state != "terminated"
        return (self.agent, *((self.repository,) if self.repository is not None and cloning else ()), self.workspace)

    @property
    def is_silent(self) -> bool:
        """Whether its node has said nothing of its containers: it pulls their images, or waits for what they mount."""
        on_the_way = all(one.state == "waiting" and one.reason in ORDINARY for one in self.containers)
        return bool(self.node) and self.phase == "Pending" and on_the_way

    @property
    def over(self) -> bool:
        """Whether it is deleted or has failed, and will not serve again."""
        return self.deleting or self.phase in ("Failed", "Succeeded")

    @property
    def harmless(self) -> bool:
        """Whether it is certain that none of its containers runs, nor will.

        The kubelet's word is a terminal phase and no running container; it writes the phase when it is done with a
        pod that is deleted. A container that waits then never started. Not its word: a phase that the garbage
        collector wrote, as for a node that was deleted. Of the containers of such a pod only those have ended that
        the kubelet said have: one that was said to wait may run since. A pod that is deleted before it is bound to a
        node is never bound (the binding is refused).
        """
        if self.forced:
            return True
        if not self.node:
            return self.deleting
        if self.phase not in ("Failed", "Succeeded"):
            return False
        states = {container.state for container in self.containers}
        return states <= {"terminated"} if self.presumed else "running" not in states


def pod_view(pod: Object) -> PodView:
    """Read a pod as the API server gave it."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    reported_status = reported(pod)
    wanted = [
        container["name"]
        for group in ("initContainers", "containers", "ephemeralContainers")
        for container in spec.get(group) or ()
    ]
    conditions = {entry["type"]: entry for entry in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled") or {}
    unschedulable = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    disruption = conditions.get("DisruptionTarget") or {}
    return PodView(
        uid=metadata["uid"],
        epoch=epoch_of(metadata.get("labels", {})) or 0,
        phase=status.get("phase") or "Pending",
        created=parse_time(metadata["creationTimestamp"]),
        deleting=bool(metadata.get("deletionTimestamp")),
        finalized=names.FENCE_FINALIZER in (metadata.get("finalizers") or ()),
        node=spec.get("nodeName") or "",
        ip=status.get("podIP") or "",
        isolated=spec.get("hostUsers") is False,
        agent=reported_status.get(names.AGENT_CONTAINER, NOT_REPORTED),
        workspace=reported_status.get(names.WORKSPACE_CONTAINER, NOT_REPORTED),
        vpn=reported_status.get(names.VPN_CONTAINER, NOT_REPORTED),
        repository=reported_status.get(names.REPOSITORY_CONTAINER, NOT_REPORTED)
        if names.REPOSITORY_CONTAINER in wanted
        else None,
        wall=reported_status.get(names.WALL_CONTAINER, NOT_REPORTED),
        containers=tuple(reported_status.get(name, NOT_REPORTED) for name in wanted),
        unschedulable_since=parse_time(scheduled["lastTransitionTime"]) if unschedulable else None,
        unschedulable=str(scheduled.get("message") or "") if unschedulable else "",
        tolerates_cordon=any(map(tolerates_cordon, spec.get("tolerations") or ())),
        presumed=phase_is_presumed(pod)
        or (disruption.get("status") == "True" and disruption.get("reason") == "DeletionByPodGC"),
        forced=bool(metadata.get("annotations", {}).get(names.FORCED_ANNOTATION)),
        reason=status.get("reason") or "",
        name=metadata["name"],
        type=metadata.get("labels", {}).get(names.TYPE_LABEL, ""),
        made_from=metadata.get("annotations", {}).get(names.MADE_FROM_ANNOTATION) or "",
        host_key=metadata.get("annotations", {}).get(names.HOST_KEY_ANNOTATION) or "",
        nonce=metadata.get("annotations", {}).get(names.NONCE_ANNOTATION),
    )


def phase_is_presumed(pod: Object) -> bool:
    """Whether a controller of Kubernetes' wrote the phase, and no kubelet.

    The pod garbage collector does so without a condition where it clears a node with the out-of-service taint
    (k8s.io/kubernetes, ``podgc.markFailedAndDeletePod``). Where one program is kubelet and controllers, as in k3s, the
    manager's name does not tell.
    """
    return any(
        entry.get("manager") == CONTROLLERS and "f:phase" in (entry.get("fieldsV1") or {}).get("f:status", {})
        for entry in pod["metadata"].get("managedFields") or ()
    )


def goes(pod: Object) -> bool:
    """Whether a pod's deletion was asked for, and need not be asked for again.

    The API server marks a pod, and then removes it. Where it was interrupted between the two, the pod stays there
    with a grace period of 0, until its deletion is asked for again.
    """
    metadata = pod["metadata"]
    return bool(metadata.get("deletionTimestamp")) and metadata.get("deletionGracePeriodSeconds") != 0
