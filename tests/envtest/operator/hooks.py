"""The words of a Job controller and of a kubelet about hooks; this tier has neither."""

from datetime import UTC, datetime
from typing import Any

from berth_core.kube.model import timestamp
from berth_core.kube.types import Kind, Object

from .lab import DEPLOYMENTS, INSTANCES, PODS, Lab, condition

JOBS = Kind("batch/v1", "jobs")
RESET = {"reset": {"command": ["/reset"], "timeout": 30}}
BOTH = RESET | {"healthCheck": {"command": ["/look"]}}
SOON = 25
"""Less than the 30 s after which a sweep clears what a pass has left."""


async def borrowed(lab: Lab, hooks: Object, name: str = "mine") -> str:
    """A type with hooks, a deployment `one` of it, and an Instance that has it; the Instance's id."""
    await lab.type(hooks=hooks)
    await lab.deployment("one")
    return await borrowed_again(lab, name)


async def borrowed_again(lab: Lab, name: str) -> str:
    await lab.instance(name, workspaceType="bench", requesterAddress="198.51.100.7")
    made = await lab.until(INSTANCES, name, lambda o: condition(o, "Bound", "status") == "True")
    return str(made["metadata"]["uid"])


async def end(lab: Lab, name: str = "mine") -> None:
    await lab.client.patch(INSTANCES, lab.namespace, name, {"spec": {"terminate": True}})


async def has_ended(lab: Lab, name: str = "mine", seconds: float = SOON) -> Object:
    return await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True", seconds=seconds)


async def started(lab: Lab, public_id: str, hook: str, epoch: int = 1, seconds: float = SOON) -> str:
    """Name of the hook's Job once it is there."""
    job = f"i-{public_id}-e{epoch}-{hook}"
    await lab.until(JOBS, job, bool, seconds=seconds)
    return job


async def succeed(lab: Lab, job: str) -> None:
    now = timestamp(datetime.now(UTC).replace(microsecond=0))
    await _say(lab, job, ["SuccessCriteriaMet", "Complete"], "", {"completionTime": now, "succeeded": 1})


async def fail(lab: Lab, job: str, reason: str = "BackoffLimitExceeded") -> None:
    await _say(lab, job, ["FailureTarget", "Failed"], reason, {"failed": 1})


async def _say(lab: Lab, job: str, words: list[str], reason: str, more: Object) -> None:
    now = timestamp(datetime.now(UTC).replace(microsecond=0))
    conditions = [{"type": w, "status": "True", "reason": reason, "lastTransitionTime": now} for w in words]
    await lab.status_patch(JOBS, job, {"startTime": now, "conditions": conditions, **more})


async def pod_of(lab: Lab, job: str, node: str | None = None) -> str:
    """The pod that a Job controller makes; its name."""
    made = await lab.get(JOBS, job)
    template = made["spec"]["template"]
    body: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{job}-x7k2p",
            "labels": template["metadata"]["labels"],
            "finalizers": template["metadata"]["finalizers"],
        },
        "spec": {key: value for key, value in template["spec"].items() if key != "schedulerName"},
    }
    if node is not None:
        body["spec"]["nodeName"] = node
    await lab.client.create(PODS, lab.namespace, body)
    return f"{job}-x7k2p"


async def exited(lab: Lab, pod: str, code: int) -> None:
    """A kubelet's word that the hook's container has ended."""
    now = timestamp(datetime.now(UTC).replace(microsecond=0))
    ended: dict[str, Any] = {
        "exitCode": code,
        "reason": "Error" if code else "Completed",
        "message": "the password is hunter2",
        "startedAt": now,
        "finishedAt": now,
    }
    container = {
        "name": "hook",
        "image": "i",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": ended},
    }
    phase = "Failed" if code else "Succeeded"
    await lab.status_patch(PODS, pod, {"phase": phase, "containerStatuses": [container]})


async def reads(lab: Lab, reason: str, deployment: str = "one", seconds: float = SOON) -> Object:
    """The deployment once it says so."""
    return await lab.until(DEPLOYMENTS, deployment, lambda o: condition(o, "Available") == reason, seconds=seconds)
