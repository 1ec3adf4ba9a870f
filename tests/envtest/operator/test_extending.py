"""An extension writes spec.expireAfter; the end follows, whatever else is written meanwhile."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from promised import promised

from berth_core.kube.model import parse_time, timestamp
from berth_core.kube.types import Object

from .lab import EVENTS, INSTANCES, Lab, condition

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("operator")]

LONG = timedelta(hours=2)


async def ready(lab: Lab, name: str, *, left: float) -> datetime:
    """An Instance that has been ready for long, ends in so many seconds by its type's default; when it was ready."""
    await lab.deployment(f"for-{name}")
    await lab.instance(name, deployments=[f"for-{name}"])
    await lab.until(INSTANCES, name, lambda o: condition(o, "Bound", "status") == "True")
    now = datetime.now(UTC).replace(microsecond=0)
    since = now - LONG
    times = {"readyTime": timestamp(since), "expireTime": timestamp(now + timedelta(seconds=left))}
    await lab.status_patch(INSTANCES, name, times)
    return since


async def extend(lab: Lab, name: str, seconds: int) -> Object:
    return await lab.client.patch(INSTANCES, lab.namespace, name, {"spec": {"expireAfter": seconds}})


async def ends_at(lab: Lab, name: str, moment: datetime) -> Object:
    """Wait until the status says that it ends then."""
    wanted = timestamp(moment)
    return await lab.until(INSTANCES, name, lambda o: o["status"].get("expireTime") == wanted, seconds=promised(10))


async def warnings(lab: Lab, name: str) -> list[str]:
    """First sentences of the Events that tell of an end."""
    found, _ = await lab.client.list(EVENTS, lab.namespace, fields={"reason": "EndsSoon", "regarding.name": name})
    return [f"{event['note'].split('. ')[0]}." for event in found]


async def a_shorter_time_wakes_the_deadline(lab: Lab) -> None:
    since = await ready(lab, "shrunk", left=3600)
    seconds = round((datetime.now(UTC) - since).total_seconds()) + 12
    await extend(lab, "shrunk", seconds)
    await ends_at(lab, "shrunk", since + timedelta(seconds=seconds))
    ended = await lab.until(INSTANCES, "shrunk", lambda o: o["status"].get("reason"), seconds=12 + promised(13))
    assert ended["status"]["reason"] == "Expired"
    end = since + timedelta(seconds=seconds)
    assert datetime.now(UTC) >= end
    assert await warnings(lab, "shrunk") == [f"This lease ends at {end:%Y-%m-%d %H:%M:%S} UTC, unless it is extended."]


async def a_longer_time_counts_though_the_old_one_is_over(lab: Lab) -> None:
    since = await ready(lab, "grown", left=15)
    await extend(lab, "grown", 9000)
    shown = await ends_at(lab, "grown", since + timedelta(seconds=9000))
    assert shown["status"]["observedGeneration"] == shown["metadata"]["generation"]
    assert datetime.now(UTC) < since + LONG + timedelta(seconds=15), "else this shows nothing"
    # One that nobody extends ends a little later than the other would have.
    await ready(lab, "left-alone", left=15)
    late = 15 + promised(15)
    await lab.until(INSTANCES, "left-alone", lambda o: o["status"].get("reason") == "Expired", seconds=late)


async def of_many_extensions_the_last_counts(lab: Lab) -> None:
    """Others write the status at the same time, so that the operator's own writes meet conflicts."""
    since = await ready(lab, "often", left=3600)

    async def shake() -> None:
        for number in range(30):
            shown = {"type": "Shaken", "status": "True", "reason": "Test", "message": str(number)}
            shown["lastTransitionTime"] = timestamp(since)
            conditions = (await lab.get(INSTANCES, "often"))["status"]["conditions"]
            others = [c for c in conditions if c["type"] != "Shaken"]
            await lab.status_patch(INSTANCES, "often", {"conditions": [*others, shown]})

    async def move() -> None:
        for number in range(30):
            await extend(lab, "often", 20000 + number)

    await asyncio.gather(shake(), move())
    shown = await ends_at(lab, "often", since + timedelta(seconds=20029))
    assert parse_time(shown["status"]["readyTime"]) == since


async def test_the_end_follows_every_extension(lab: Lab) -> None:
    await lab.type(limits={"defaultExpireAfter": 600})
    await asyncio.gather(
        a_shorter_time_wakes_the_deadline(lab),
        a_longer_time_counts_though_the_old_one_is_over(lab),
        of_many_extensions_the_last_counts(lab),
    )
    assert "reason" not in (await lab.get(INSTANCES, "grown"))["status"]
    assert "reason" not in (await lab.get(INSTANCES, "often"))["status"]
    assert await warnings(lab, "often") == [], "its end is far away"
