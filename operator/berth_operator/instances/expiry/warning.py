"""Announces a lease's end, and a machine's silence, by Events, once for each, whichever process leads."""

from collections.abc import Iterator
from datetime import datetime

from berth_operator.engine import events
from berth_operator.engine.events import Complaint
from berth_operator.engine.world import World
from berth_operator.instances.expiry.notice import held_up
from berth_operator.instances.memory import Memories
from berth_operator.instances.observed import ObservedInstance
from berth_operator.kinds import INSTANCES


async def warn(world: World, seen: ObservedInstance, now: datetime) -> None:
    """Post the warnings that are due and were not posted yet."""
    instance = seen.instance
    memory = world.state(Memories).known(instance.metadata.namespace, instance.public_id)
    obj = world.cache[INSTANCES].get(instance.metadata.namespace, instance.metadata.name)
    complaints = list(_complaints(seen, now))
    notes = "\n".join(complaint.note for complaint in complaints)
    if memory is None or obj is None or memory.warned == notes:
        return
    for complaint in complaints:
        await events.warn(world, obj, complaint)
    memory.warned = notes


def _complaints(seen: ObservedInstance, now: datetime) -> Iterator[Complaint]:
    if note := held_up(seen, now):
        yield Complaint("ClockNotTrusted", "Wait", note, once=True)
    elif seen.notice:
        yield Complaint("EndsSoon", "Warn", seen.notice.strip(), once=True)
    if seen.machine_notice:
        yield Complaint("NoAnswer", "Warn", seen.machine_notice.strip(), once=True)
