"""A build whose log finds no place in the cluster waits for one, yet not for ever."""

from datetime import UTC, datetime
from typing import Any

import pytest

from berth_core.kube.client import Client
from berth_core.kube.containers import Container
from berth_core.kube.types import Kind, Object
from berth_core.resources import Build
from berth_dev.envtest.apiserver import ApiServer
from berth_operator.builds.artifacts import PATIENCE, NotKept, NotYetError, keep
from berth_operator.builds.cleanup import reconcile_remains
from berth_operator.builds.manifests.jobs import Attempt
from berth_operator.builds.observed import PodSeen, SeenBuild, StepSeen
from berth_operator.engine.workqueue import Key
from berth_operator.kinds import BUILD_REMAINS
from berth_operator.settings.builds import CiSettings

from .builds import CI, build, ended, is_over, pod_of, project, reads, says, started
from .lab import BUILDS, PODS, Lab
from .printing import printing
from .process import Operators
from .worlds import world_of

pytestmark = pytest.mark.apiserver

QUOTAS = Kind("v1", "resourcequotas")


async def test_a_build_without_room_for_its_log_waits_for_room(
    lab: Lab, apiserver: ApiServer, operators: Operators
) -> None:
    await project(lab)
    async with printing(lab, apiserver) as node:
        operators.start(**CI)
        uid = await build(lab, "one")
        await started(lab, uid, "fetch")
        await no_room(lab)
        pod = await pod_of(lab, await started(lab, uid, "fetch"), nodeName=node)
        await says(lab, pod, "Failed", fetch=ended(1, '{"error": "RecipeInvalid", "message": "no"}'))
        await reads(lab, "one", "Ended", "Keeping", seconds=30)
        await lab.client.delete(QUOTAS, lab.namespace, "none")
        status = (await is_over(lab, "one", seconds=60))["status"]
        assert len(status["log"]) == 1


async def test_a_build_ends_without_its_log_where_room_never_comes(lab: Lab, apiserver: ApiServer) -> None:
    """The time is played: all of the rest is the operator's own pass against a real quota."""
    await project(lab)
    await no_room(lab)
    uid = await build(lab, "one")
    async with printing(lab, apiserver) as node:
        metadata = {"name": "prints"}
        containers = [{"name": "fetch", "image": "x.invalid/x:1"}]
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
        spec = {"nodeName": node, "containers": containers, "automountServiceAccountToken": False}
        await lab.client.create(PODS, lab.namespace, body | {"spec": spec})
        world = await world_of(lab)
        made = Build.parse(await lab.get(BUILDS, "one"))
        fetch = PodSeen("prints", containers={"fetch": Container("terminated", started=datetime.now(UTC))})
        seen = SeenBuild(made, fetch=StepSeen(pod=fetch))
        with pytest.raises(NotYetError):
            await keep(world, Attempt(made), CiSettings("ci"), seen)
        world.state(NotKept)[lab.namespace, uid][""] -= PATIENCE
        kept = await keep(world, Attempt(made), CiSettings("ci"), seen)
    assert kept.log == []
    assert "the log could not be kept" in kept.missing
    assert "exceeded quota" in kept.missing


async def no_room(lab: Lab) -> None:
    """A quota of no ConfigMaps; a controller would write its status."""
    hard = {"count/configmaps": "0"}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": hard}}
    await lab.client.create(QUOTAS, lab.namespace, body)
    await lab.status_patch(QUOTAS, "none", {"hard": hard, "used": hard})


async def test_what_could_not_be_kept_of_a_build_that_is_gone_is_forgotten(lab: Lab) -> None:
    await project(lab)
    gone, stays = await build(lab, "gone"), await build(lab, "stays")
    await lab.status_patch(BUILDS, "stays", {"id": stays})
    await lab.client.delete(BUILDS, lab.namespace, "gone")
    world = await world_of(lab)
    for uid in (gone, stays):
        world.state(NotKept)[lab.namespace, uid] = {"": 0.0}
        await reconcile_remains(world, Key(BUILD_REMAINS, lab.namespace, uid))
    assert list(world.state(NotKept)) == [(lab.namespace, stays)]


async def test_for_a_build_that_is_gone_no_other_is_read(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are as many and as large as users make them, and many may go at once."""
    await project(lab)
    gone, _ = await build(lab, "gone"), await build(lab, "other")
    await lab.client.delete(BUILDS, lab.namespace, "gone")
    world, read, real = await world_of(lab), list[Object](), Client.request

    async def noting(client: Client, method: str, path: str, *rest: Any, **more: Any) -> Object:
        answer = await real(client, method, path, *rest, **more)
        read.extend(answer.get("items") or [])
        return answer

    monkeypatch.setattr(Client, "request", noting)
    await reconcile_remains(world, Key(BUILD_REMAINS, lab.namespace, gone))
    assert read == []
