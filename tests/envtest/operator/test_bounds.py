"""Retained objects have bounds: the oldest that may go is deleted first, and nothing that is owed."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from berth_core import names
from berth_core.ids import uuid7
from berth_core.kube.errors import NotFoundError
from berth_core.kube.model import timestamp
from berth_core.kube.types import Kind, Object
from berth_operator.sweeps.expired import MOST_REFUSALS

from .builds import CI, build, project
from .lab import BUILDS, INSTANCES, KEY, SECRETS, Lab
from .process import Operators

pytestmark = pytest.mark.apiserver

CONFIG_MAPS = Kind("v1", "configmaps")
TOMORROW = timestamp(datetime.now(UTC) + timedelta(days=1))
SIZE = 1000
"""Bytes of each part."""


async def record(lab: Lab, name: str, refused: str | None = None) -> None:
    """A record of a request with an Idempotency-Key, as the API leaves it."""
    labels = {names.IDEMPOTENCY_LABEL: name, names.MANAGED_BY_LABEL: names.MANAGED_BY}
    labels |= {names.REFUSED_LABEL: refused} if refused else {}
    metadata = {"name": name, "labels": labels, "annotations": {names.EXPIRES_ANNOTATION: TOMORROW}}
    await lab.client.create(
        SECRETS, lab.namespaces.access, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    )


async def ended(lab: Lab, user: str, minutes_ago: int, **metadata: Any) -> str:
    """An Instance that has ended."""
    at = timestamp(datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes_ago))
    name = uuid7(minutes_ago)
    await lab.create(INSTANCES, name, {"user": user, "deployments": ["one"], "sshKeys": [KEY]}, **metadata)
    told = {"type": "Ended", "status": "True", "reason": "Test", "message": "", "lastTransitionTime": at}
    await lab.status_patch(INSTANCES, name, {"endTime": at, "reason": "Expired", "conditions": [told]})
    return name


async def over(lab: Lab, name: str, minutes_ago: int) -> list[str]:
    """A Build that has ended and left a log and artifacts; the ConfigMaps."""
    made = await lab.create(BUILDS, name, {"project": "p-ada", "user": "ada", "branch": "main"})
    kinds = ("log", "artifacts")
    parts = [f"b-{made['metadata']['uid']}-1-{kind}-0" for kind in kinds]
    for part in parts:
        data = {"part": base64.b64encode(b"x" * SIZE).decode()}
        body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": part}, "binaryData": data}
        await lab.client.create(CONFIG_MAPS, lab.namespace, body)
    at = timestamp(datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes_ago))
    told = {"type": "Ended", "status": "True", "reason": "Passed", "message": "", "lastTransitionTime": at}
    artifacts = {"size": SIZE, "sha256": "0" * 64, "configMaps": parts[1:]}
    status = {"attempt": 1, "endTime": at, "reason": "Passed", "conditions": [told], "observedGeneration": 1}
    await lab.status_patch(BUILDS, name, status | {"log": parts[:1], "logSize": SIZE, "artifacts": artifacts})
    return parts


async def has_parts(lab: Lab, parts: list[str]) -> bool:
    try:
        for part in parts:
            await lab.client.get(CONFIG_MAPS, lab.namespace, part)
    except NotFoundError:
        return False
    return True


@pytest.mark.release(twin="tests/unit/operator/sweeps/test_retention.py")
async def test_of_refusals_the_oldest_go_and_no_other_record(lab: Lab, operators: Operators) -> None:
    access = lab.namespaces.access
    await asyncio.gather(*(record(lab, f"kept-{n}") for n in range(3)))
    await asyncio.gather(*(record(lab, f"first-{n}", "ada") for n in range(3)))
    for start in range(0, MOST_REFUSALS, 100):
        await asyncio.gather(*(record(lab, f"later-{n}", "ada") for n in range(start, start + 100)))
    await record(lab, "bobs", "bob")
    operators.start()
    for n in range(3):
        await lab.until_gone(SECRETS, f"first-{n}", seconds=60, namespace=access)
    left, _ = await lab.client.list(SECRETS, access, labels={names.IDEMPOTENCY_LABEL: ""}, metadata_only=True)
    kept = {obj["metadata"]["name"] for obj in left}
    assert kept == {"bobs", *(f"kept-{n}" for n in range(3)), *(f"later-{n}" for n in range(MOST_REFUSALS))}


async def test_of_history_the_oldest_goes_of_each_user(lab: Lab, operators: Operators) -> None:
    mine = [await ended(lab, "ada", minutes) for minutes in (1, 2, 3, 4, 5)]
    others = [await ended(lab, "bob", minutes) for minutes in (8, 9)]
    operators.start(BERTH_HISTORY_PER_USER="3")
    for name in mine[3:]:
        await lab.until_gone(INSTANCES, name, seconds=60)
    for name in [*mine[:3], *others]:
        await lab.kept(INSTANCES, name)


async def test_of_history_the_oldest_goes_of_a_user_whose_objects_are_large(lab: Lab, operators: Operators) -> None:
    large = {"annotations": {"example.test/note": "n" * 100_000}}
    mine = [await ended(lab, "ada", minutes, **large) for minutes in (1, 2, 3, 4)]
    others = [await ended(lab, "bob", minutes) for minutes in (8, 9)]
    operators.start(BERTH_HISTORY_BYTES_PER_USER="250000")
    for name in mine[2:]:
        await lab.until_gone(INSTANCES, name, seconds=60)
    for name in [*mine[:2], *others]:
        await lab.kept(INSTANCES, name)


async def test_logs_and_artifacts_go_sooner_than_their_build_and_the_oldest_first(
    lab: Lab, operators: Operators
) -> None:
    await project(lab)
    new, middle = await over(lab, "new", 1), await over(lab, "middle", 2)
    large, old = await over(lab, "large", 3), await over(lab, "old", 120)
    bound = str(5 * SIZE)
    operators.start(**CI, BERTH_CI_KEPT_BYTES_PER_USER=bound, BERTH_CI_KEPT_RETENTION="1h")
    for name, parts in (("large", large), ("old", old)):
        shown = await lab.until(BUILDS, name, lambda o: o["status"]["log"] == [], seconds=60)
        assert shown["status"]["artifacts"]["configMaps"] == []
        assert shown["status"]["reason"] == "Passed"
        for part in parts:
            assert await lab.absent(CONFIG_MAPS, part)
    assert await has_parts(lab, new)
    assert await has_parts(lab, middle)


async def test_what_an_attempt_left_goes_when_the_next_one_begins(lab: Lab, operators: Operators) -> None:
    await project(lab)
    parts = await over(lab, "one", 1)
    operators.start(**CI)
    await lab.client.patch(BUILDS, lab.namespace, "one", {"spec": {"attempt": 2}})
    for part in parts:
        await lab.until_gone(CONFIG_MAPS, part, seconds=60)
    shown = await lab.until(BUILDS, "one", lambda o: o["status"]["attempt"] == 2)
    assert "log" not in shown["status"]


async def test_builds_that_end_at_once_are_few(lab: Lab, operators: Operators) -> None:
    await project(lab, repoURL="http://169.254.169.254/a")
    operators.start(**CI, BERTH_HISTORY_PER_USER="3")
    for number in range(8):
        await build(lab, f"forbidden-{number}")
    async with asyncio.timeout(60):
        listed, version = await lab.client.list(BUILDS, lab.namespace, metadata_only=True)
        here = {obj["metadata"]["name"] for obj in listed}
        while len(here) > 3:
            async for event in lab.client.watch(BUILDS, lab.namespace, version):
                version = event.object["metadata"]["resourceVersion"]
                if event.type == "DELETED":
                    here.discard(event.object["metadata"]["name"])
                    if len(here) <= 3:
                        break
