"""A live read that finds nothing forgets what was known before it, and nothing that came since."""

from typing import cast

import pytest

from berth_core.kube.client import Client
from berth_core.kube.errors import NotFoundError
from berth_core.kube.types import Kind, Object
from berth_operator.engine.clock import Clock
from berth_operator.kinds import DEPLOYMENTS
from berth_operator.leases.live import read_deployment
from berth_operator.registry import make_world

from ..samples import CONFIG


def deployment(version: int) -> Object:
    metadata = {"name": "desk", "namespace": "lab", "uid": f"uid-{version}", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"type": "bench"}}


class Cluster:
    """Says that nothing is there; meanwhile a watch may tell of what was made since."""

    def __init__(self, made: Object | None) -> None:
        self.world = make_world(CONFIG, cast(Client, self), Clock())
        self.world.cache[DEPLOYMENTS].put(deployment(3))
        self._made = made

    async def get(self, kind: Kind, _namespace: str, name: str) -> Object:
        if self._made is not None:
            self.world.cache[kind].hear(self._made)
        raise NotFoundError(f"{kind.plural} {name} not found")


async def test_what_is_not_found_is_forgotten() -> None:
    cluster = Cluster(made=None)
    assert await read_deployment(cluster.world, "lab", "desk") is None


@pytest.mark.parametrize("version", [4, 9])
async def test_what_was_made_again_before_the_answer_came_is_kept(version: int) -> None:
    cluster = Cluster(made=deployment(version))
    found = await read_deployment(cluster.world, "lab", "desk")
    assert found is not None
    assert found.metadata.resource_version == str(version)
