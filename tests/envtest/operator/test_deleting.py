"""Deletions beside Kubernetes' own controllers: hooks that are owed run, walls stand, and leases go back.

Instances, Builds and Projects go in the background only (tests/envtest/chart/test_matrix.py), alone or with others. A
deployment may go any way. The words of kubelets are the test's.
"""

import json

import pytest

from berth_core import ids, names
from berth_core.kube.types import Kind, Object
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.puppets import Puppets

from .builds import CI, REPORT, build, ended, is_over, project, says
from .builds import started as step_started
from .hooks import RESET, borrowed, borrowed_again, end, exited, started
from .lab import BUILDS, DEPLOYMENTS, INSTANCES, PODS, PROJECTS, SECRETS, SERVICES, Lab, condition
from .process import Operators
from .test_hooks_with_controllers import pod_that_runs
from .test_inbound import stops

pytestmark = [
    pytest.mark.apiserver,
    pytest.mark.release(
        twin="tests/envtest/operator/test_ending.py::test_a_deleted_instance_is_gone_only_after_its_lease"
    ),
]
SOON = 20
"""Less than the 30 s after which a sweep clears what a pass has left."""


@pytest.fixture
def apiserver(controllers: ApiServer) -> ApiServer:
    """A server with Kubernetes' controllers, its garbage collector among them."""
    return controllers


@pytest.fixture(params=["alone", "together"])
def many(request: pytest.FixtureRequest) -> bool:
    """Whether all of a kind are deleted by one request."""
    return bool(request.param == "together")


async def delete(lab: Lab, kind: Kind, name: str, *, many: bool, way: str = "Background") -> None:
    options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": way}
    await lab.client.request("DELETE", kind.path(lab.namespace, *([] if many else [name])), body=options)


async def resets(lab: Lab, uid: str) -> None:
    """The hook that is owed runs while the lease lasts, and ends."""
    reset = await started(lab, uid, "reset", seconds=SOON)
    assert await lab.lease("one") is not None
    await exited(lab, await pod_that_runs(lab, reset), 0)


async def is_free(lab: Lab) -> None:
    await lab.until(DEPLOYMENTS, "one", lambda o: "lease" not in o["status"], seconds=SOON)


async def test_an_instance_that_is_deleted_is_reset_and_gives_its_machine_back(
    lab: Lab, operators: Operators, puppets: Puppets, many: bool
) -> None:
    operators.start()
    uid = await borrowed(lab, RESET)
    await lab.until(PODS, names.instance_object(uid), lambda o: (o.get("status") or {}).get("podIP"), seconds=SOON)
    await delete(lab, INSTANCES, "mine", many=many)
    await resets(lab, uid)
    await lab.until_gone(INSTANCES, "mine", seconds=SOON)
    await is_free(lab)


@pytest.mark.parametrize(("kind", "name"), [(BUILDS, "one"), (PROJECTS, "p-ada")])
async def test_the_machine_of_a_deleted_build_is_reset_and_comes_back(
    lab: Lab, operators: Operators, puppets: Puppets, many: bool, kind: Kind, name: str
) -> None:
    operators.start(**CI)
    await lab.type(hooks=RESET)
    await lab.deployment("one")
    await project(lab)
    uid = await build(lab, "one")
    fetch = await pod_that_runs(lab, (await step_started(lab, uid, "fetch"))["metadata"]["name"])
    await says(lab, fetch, "Succeeded", fetch=ended(0, json.dumps(REPORT | {"workspace": "bench"})))
    script = await pod_that_runs(lab, (await step_started(lab, uid, "run"))["metadata"]["name"])
    await lab.bind(script, puppets.node)
    machine = (await lab.client.list(INSTANCES, lab.namespace))[0][0]
    await delete(lab, kind, name, many=many)
    left = await lab.until(PODS, script, lambda o: o["metadata"].get("deletionTimestamp"), seconds=SOON)
    assert left["metadata"]["labels"][names.MANAGED_BY_LABEL] == names.MANAGED_BY, "policy berth-closed holds it"
    await stops(lab, script)
    await resets(lab, machine["metadata"]["uid"])
    if kind == BUILDS:
        await lab.until_gone(BUILDS, "one", seconds=SOON)
    else:
        await is_over(lab, "one", seconds=SOON)
    await is_free(lab)


@pytest.mark.parametrize("way", ["Background", "Foreground", "Orphan"])
@pytest.mark.parametrize("leased", [False, True])
async def test_a_deployment_goes_when_its_warm_pod_and_its_lease_have_ended(
    lab: Lab, operators: Operators, puppets: Puppets, many: bool, way: str, leased: bool
) -> None:
    operators.start()
    await lab.type(warm=True)
    await lab.deployment("one")
    pod = names.warm_object(ids.deployment_id(lab.namespace, "one"), 1)
    await lab.until(PODS, pod, lambda o: (o.get("status") or {}).get("podIP"), seconds=SOON)
    if leased:
        await borrowed_again(lab, "mine")
    await delete(lab, DEPLOYMENTS, "one", many=many, way=way)
    if leased:
        assert await lab.lease("one") is not None
        await end(lab)
        await lab.until(INSTANCES, "mine", lambda o: condition(o, "Ended", "status") == "True", seconds=SOON)
    await lab.until_gone(DEPLOYMENTS, "one", seconds=SOON)
    for kind in (PODS, SERVICES, SECRETS):
        await lab.until_gone(kind, pod, seconds=SOON)
        assert (await lab.client.list(kind, lab.namespace, labels=names.epoch_labels(1, "one")))[0] == []
