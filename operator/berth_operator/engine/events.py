"""Events on objects: what people see with ``kubectl describe``."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from berth_core.kube.errors import AlreadyExistsError
from berth_core.kube.types import Object
from berth_operator.engine.world import World
from berth_operator.kinds import EVENTS


@dataclass(frozen=True)
class Complaint:
    """A problem, present or near: CamelCase reason and action (Kubernetes API conventions), and a sentence."""

    reason: str
    action: str
    note: str
    once: bool = False
    """Said once of an object, whichever process says it: the same words make the same Event."""


async def warn(world: World, obj: Object, complaint: Complaint) -> None:
    """Post a warning about an object as the API server gave it."""
    metadata = obj["metadata"]
    stem = metadata["name"][:200]
    body: Object = {
        "apiVersion": EVENTS.api_version,
        "kind": "Event",
        "metadata": {"generateName": f"{stem}-", "namespace": metadata["namespace"]},
        "eventTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "reportingController": "berth.dev/operator",
        "reportingInstance": world.config.identity,
        "action": complaint.action,
        "reason": complaint.reason,
        "type": "Warning",
        "regarding": {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
        "note": complaint.note[:1000],
    }
    if complaint.once:
        words = f"{metadata['uid']} {complaint.reason} {complaint.note}"
        body["metadata"]["name"] = f"{stem}.{hashlib.sha256(words.encode()).hexdigest()[:16]}"
        del body["metadata"]["generateName"]
    try:
        await world.client.create(EVENTS, metadata["namespace"], body)
    except AlreadyExistsError:
        if not complaint.once:
            raise
