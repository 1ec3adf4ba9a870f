"""The words of a Job controller and of a kubelet about builds; this tier has neither."""

import json
from datetime import UTC, datetime
from typing import Any

from berth_core.kube.model import timestamp
from berth_core.kube.types import Kind, Object

from .lab import BUILDS, PODS, PROJECTS, SECONDS, Lab, condition

JOBS = Kind("batch/v1", "jobs")
CI = {"BERTH_CI_IMAGE": "ci.invalid/ci:1", "BERTH_CI_ALLOWED_IMAGES": "script.invalid"}
COMMIT = "ab" * 20
REPORT = {"commit": COMMIT, "image": "script.invalid/it:1", "workspace": None, "timeout": 600}
LONGEST = 25
"""Less than the 30 s after which a build is over though its pods are not gone."""


async def project(lab: Lab, user: str = "ada", **spec: Any) -> str:
    """A Project of a repository that everyone may read."""
    await lab.create(PROJECTS, f"p-{user}", {"name": f"p-{user}", "user": user, "repoURL": "https://x.test/a"} | spec)
    return f"p-{user}"


async def build(lab: Lab, name: str, user: str = "ada", **spec: Any) -> str:
    """A Build of that user's project; its public id."""
    made = await lab.create(BUILDS, name, {"project": f"p-{user}", "user": user, "branch": "main"} | spec)
    return str(made["metadata"]["uid"])


async def started(lab: Lab, public_id: str, step: str, attempt: int = 1, seconds: float = SECONDS) -> Object:
    """The Job of a step once it is there; the operator may have been started only just now."""
    return await lab.until(JOBS, f"b-{public_id}-{attempt}-{step}", bool, seconds=seconds)


async def pod_of(lab: Lab, job: Object, **bound: str) -> str:
    """The pod that a Job controller makes, and that a scheduler may have bound (``nodeName``); its name."""
    template = job["spec"]["template"]
    name = f"{job['metadata']['name']}-x7k2p"
    metadata = {"name": name, "labels": template["metadata"]["labels"]}
    spec = {key: value for key, value in template["spec"].items() if key != "schedulerName"} | bound
    await lab.client.create(
        PODS, lab.namespace, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    )
    return name


async def found(lab: Lab, public_id: str, attempt: int = 1, **report: Any) -> None:
    """The first step finds the commit."""
    pod = await pod_of(lab, await started(lab, public_id, "fetch", attempt))
    await says(lab, pod, "Succeeded", fetch=ended(0, json.dumps(REPORT | report)))


async def says(lab: Lab, pod: str, phase: str, *, ip: str = "", **containers: Object) -> None:
    """A kubelet's word about a pod's containers, by their names and states."""
    init = [_status(name, state) for name, state in containers.items() if name in ("wall", "checkout", "artifacts")]
    plain = [_status(name, state) for name, state in containers.items() if name in ("fetch", "script")]
    status: Object = {"phase": phase, "initContainerStatuses": init, "containerStatuses": plain}
    if ip:
        status |= {"podIP": ip, "podIPs": [{"ip": ip}]}
    await lab.status_patch(PODS, pod, status)


def ended(code: int, message: str = "") -> Object:
    now = timestamp(datetime.now(UTC).replace(microsecond=0))
    reason = "Error" if code else "Completed"
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "startedAt": now, "finishedAt": now}}


def runs() -> Object:
    return {"running": {"startedAt": timestamp(datetime.now(UTC).replace(microsecond=0))}}


async def reads(lab: Lab, name: str, kind: str, reason: str, seconds: float = LONGEST) -> Object:
    """The Build once a condition has that reason."""
    return await lab.until(BUILDS, name, lambda o: condition(o, kind) == reason, seconds=seconds)


async def is_over(lab: Lab, name: str, seconds: float = LONGEST) -> Object:
    """The Build once it says that it has ended, as of its present spec: else `kubectl wait` would go on waiting."""
    return await lab.until(
        BUILDS,
        name,
        lambda o: (
            condition(o, "Ended", "status") == "True"
            and o["status"]["observedGeneration"] == o["metadata"]["generation"]
        ),
        seconds=seconds,
    )


def _status(name: str, state: Object) -> Object:
    return {"name": name, "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": state}
