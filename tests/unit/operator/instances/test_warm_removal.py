"""The removal of a warm pod that nobody has: first the deployment's status names it no more, and then it goes."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.errors import ConflictError, NotFoundError
from berth_core.kube.model import timestamp
from berth_core.kube.types import Kind, Object
from berth_operator.engine.clock import Clock
from berth_operator.engine.workqueue import Key
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.warm.manifests import made_from
from berth_operator.instances.warm.reconcile import reconcile_warm
from berth_operator.kinds import DEPLOYMENTS, PODS, TYPES, WARM
from berth_operator.registry import make_world

from ..samples import CONFIG, ID, NOW, deployment, type_

NAMED = {"epoch": 4, "nonce": "0a1b2c3d"}
HELD = {"instance": ID, "user": "ada", "claimedAt": timestamp(NOW)}
POD = names.warm_object(deployment().public_id, 4)


def of(version: int, *, locked: bool = False, **status: Any) -> Object:
    """The deployment at a version, for the epoch after 3."""
    wd = deployment(status={"epoch": 3, **status}, lockout=locked).wire()
    wd["metadata"]["resourceVersion"] = str(version)
    return wd


class Lab:
    """A warm pod, the deployment as the operator knows it, and as it is."""

    def __init__(self, known: Object, live: Object) -> None:
        self.live, self.asked = live, list[str]()
        self.world = make_world(CONFIG, cast(Client, SimpleNamespace(**self._client())), Clock())
        self.world.cache[TYPES].put(
            type_(warm=True).wire() | {"metadata": type_().wire()["metadata"] | {"resourceVersion": "1"}}
        )
        self.world.cache[DEPLOYMENTS].put(known)
        digest = made_from(LeaseParts(None, deployment(), type_(warm=True), 4, warm=True), CONFIG)
        metadata: Object = {
            "name": POD,
            "namespace": "lab",
            "uid": "u",
            "resourceVersion": "9",
            "creationTimestamp": timestamp(self.world.now()),
            "finalizers": [names.FENCE_FINALIZER],
            "labels": {names.WARM_LABEL: "true", **names.epoch_labels(4, "one")},
            "annotations": {names.NONCE_ANNOTATION: NAMED["nonce"], names.MADE_FROM_ANNOTATION: digest},
        }
        self.pod: Object | None = {"metadata": metadata, "spec": {}, "status": {"phase": "Pending"}}
        self.world.cache[PODS].put(self.pod)

    def _client(self) -> dict[str, Any]:
        async def get(kind: Kind, _namespace: str, _name: str) -> Object:
            if kind == DEPLOYMENTS:
                return self.live
            if self.pod is None:
                raise NotFoundError("it is gone")
            return self.pod

        async def patch(kind: Kind, _namespace: str, _name: str, body: Object, **_: object) -> Object:
            assert kind == DEPLOYMENTS, "a warm pod is not written"
            self.asked.append("un-name")
            if body["metadata"]["resourceVersion"] != self.live["metadata"]["resourceVersion"]:
                raise ConflictError("somebody wrote in between")
            assert body["status"] == {"warm": None}
            status = {key: value for key, value in self.live["status"].items() if key != "warm"}
            self.live = self.live | {"status": status, "metadata": self.live["metadata"] | {"resourceVersion": "20"}}
            return self.live

        async def delete(kind: Kind, _namespace: str, name: str, *, uid: str, **_: object) -> None:
            self.asked.append(f"delete {kind.plural}/{'warm' if name == POD else name} {uid}")

        return {"get": get, "patch": patch, "delete": delete}

    async def look(self) -> list[str]:
        """Make a pass; what it asked for."""
        await reconcile_warm(self.world, Key(WARM, "lab", "one"))
        return self.asked


async def test_the_status_names_it_no_more_before_it_is_deleted() -> None:
    useless = of(5, locked=True, warm=NAMED)
    assert await Lab(useless, useless).look() == ["un-name", "delete pods/warm u"]


async def test_a_lease_that_was_taken_since_keeps_its_pod() -> None:
    lab = Lab(of(5, locked=True, warm=NAMED), of(7, warm=NAMED, epoch=4, lease=HELD))
    with pytest.raises(ConflictError):
        await lab.look()
    assert lab.asked == ["un-name"], "nothing is deleted"


async def test_a_removal_that_broke_off_after_that_is_finished() -> None:
    unnamed = of(8)
    assert await Lab(unnamed, unnamed).look() == ["delete pods/warm u"]


async def test_one_that_the_status_does_not_name_yet_as_far_as_is_known_is_looked_at_live() -> None:
    assert await Lab(of(5), of(7, warm=NAMED)).look() == []


async def test_one_of_a_lease_that_was_taken_stays_also_where_the_status_does_not_name_it() -> None:
    assert await Lab(of(5), of(7, epoch=4, lease=HELD)).look() == []


async def test_a_deployment_that_is_not_known_yet_is_read_live() -> None:
    lab = Lab(of(5), of(7, warm=NAMED))
    lab.world.cache[DEPLOYMENTS].remove(of(5))
    assert await lab.look() == []
