"""Private keys and profiles go when no instance needs them, as the cluster says and not only the cache."""

from collections.abc import AsyncIterator
from typing import cast

import pytest

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.types import Kind, Object
from berth_operator.engine.clock import Clock
from berth_operator.engine.workqueue import Key
from berth_operator.kinds import ACCESS, INSTANCES, SECRETS
from berth_operator.registry import make_world
from berth_operator.sweeps.orphans import sweep_access

from ..samples import CONFIG, ID

LONG_AGO = "2026-01-01T00:00:00Z"


class Agreed(Clock):
    """A clock that is trusted."""

    trusted = True


class Cluster:
    """Has one profile, of a client of one instance that was made with kubectl and of which no watch has told."""

    def __init__(self, status: Object) -> None:
        self.world = make_world(CONFIG, cast(Client, self), Agreed())
        self.deleted: list[str] = []
        spec = {"user": "ada", "workspaceType": "bench", "sshKeys": []}
        metadata = {"name": "mine", "namespace": "lab", "uid": ID, "creationTimestamp": LONG_AGO}
        self._instance: Object = {"metadata": metadata | {"resourceVersion": "9"}, "spec": spec, "status": status}

    async def pages(self, kind: Kind, _namespace: str, **_: object) -> AsyncIterator[tuple[list[Object], str]]:
        if kind == INSTANCES:
            yield [self._instance], "9"
            return
        metadata = {"name": "vpn-1", "uid": "s", "creationTimestamp": LONG_AGO, "labels": {names.INSTANCE_LABEL: ID}}
        yield [{"metadata": metadata}], "9"

    async def delete(self, kind: Kind, _namespace: str, name: str, *, uid: str) -> None:
        assert (kind, uid) == (SECRETS, "s")
        self.deleted.append(name)


@pytest.mark.parametrize(("status", "deleted"), [({}, []), ({"endTime": LONG_AGO}, ["vpn-1"])])
async def test_what_an_instance_needs_of_which_no_watch_has_told_stays(status: Object, deleted: list[str]) -> None:
    cluster = Cluster(status)
    await sweep_access(cluster.world, Key(ACCESS, "", ""))
    assert cluster.deleted == deleted
