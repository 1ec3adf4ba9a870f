"""Reads a pod object into what decisions need. Pure."""

from berth_core import names
from berth_core.kube.model import parse_time
from berth_core.kube.types import Object
from berth_core.leases.epochs import epoch_of
from berth_operator.instances.observed import NOT_REPORTED, ContainerView, PodView

CONTROLLERS = "kube-controller-manager"


def pod_view(pod: Object) -> PodView:
    """Read a pod as the API server gave it."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    reported = {
        entry["name"]: _container(entry)
        for group in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
        for entry in status.get(group) or ()
    }
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
        agent=reported.get(names.AGENT_CONTAINER, NOT_REPORTED),
        workspace=reported.get(names.WORKSPACE_CONTAINER, NOT_REPORTED),
        vpn=reported.get(names.VPN_CONTAINER, NOT_REPORTED),
        repository=reported.get(names.REPOSITORY_CONTAINER, NOT_REPORTED)
        if names.REPOSITORY_CONTAINER in wanted
        else None,
        containers=tuple(reported.get(name, NOT_REPORTED) for name in wanted),
        unschedulable_since=parse_time(scheduled["lastTransitionTime"]) if unschedulable else None,
        unschedulable=str(scheduled.get("message") or "") if unschedulable else "",
        presumed=phase_is_presumed(pod)
        or (disruption.get("status") == "True" and disruption.get("reason") == "DeletionByPodGC"),
        forced=bool(metadata.get("annotations", {}).get(names.FORCED_ANNOTATION)),
        reason=status.get("reason") or "",
        name=metadata["name"],
        holder=holder_of(pod),
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


def holder_of(pod: Object) -> str:
    """Public id of the instance whose pod it is; empty for one that is kept warm for nobody yet."""
    metadata = pod["metadata"]
    if names.WARM_LABEL in (metadata.get("labels") or {}):
        return (metadata.get("annotations") or {}).get(names.INSTANCE_ANNOTATION) or ""
    return (metadata.get("labels") or {}).get(names.INSTANCE_LABEL) or ""


def goes(pod: Object) -> bool:
    """Whether a pod's deletion was asked for, and need not be asked for again.

    The API server marks a pod, and then removes it. Where it was broken off between the two, as when the process that
    asked died, the pod stays there with a grace period of 0, until its deletion is asked for again.
    """
    metadata = pod["metadata"]
    return bool(metadata.get("deletionTimestamp")) and metadata.get("deletionGracePeriodSeconds") != 0


def _container(entry: Object) -> ContainerView:
    state = entry.get("state") or {}
    word = next((word for word in ("running", "terminated", "waiting") if word in state), "waiting")
    detail = state.get(word) or {}
    return ContainerView(
        state=word,
        id=entry.get("containerID") or "",
        reason=detail.get("reason") or "",
        message=detail.get("message") or "",
        restarts=int(entry.get("restartCount") or 0),
        exit_code=detail.get("exitCode"),
    )
