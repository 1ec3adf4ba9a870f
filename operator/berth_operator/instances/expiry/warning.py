"""Announces a lease's end by Events, once for each end, whichever process leads."""

from datetime import datetime

from berth_operator.engine import events
from berth_operator.engine.events import Complaint
from berth_operator.engine.world import World
from berth_operator.instances.expiry.notice import held_up
from berth_operator.instances.memory import Memories
from berth_operator.instances.observed import ObservedInstance
from berth_operator.kinds import INSTANCES


async def warn(world: World, seen: ObservedInstance, now: datetime) -> None:
    """Post the warning that is due and was not posted yet."""
    instance = seen.instance
    memory = world.state(Memories).known(instance.metadata.namespace, instance.public_id)
    obj = world.cache[INSTANCES].get(instance.metadata.namespace, instance.metadata.name)
    complaint = _complaint(seen, now)
    note = complaint.note if complaint else ""
    if memory is None or obj is None or memory.warned == note:
        return
    if complaint is not None:
        await events.warn(world, obj, complaint)
    memory.warned = note


def _complaint(seen: ObservedInstance, now: datetime) -> Complaint | None:
    if note := held_up(seen, now):
        return Complaint("ClockNotTrusted", "Wait", note, once=True)
    if seen.notice:
        return Complaint("EndsSoon", "Warn", seen.notice.strip(), once=True)
    return None
