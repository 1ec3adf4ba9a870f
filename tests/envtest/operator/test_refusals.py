"""A refusal by the cluster ends a lease or a build: nothing waits for ever for what will never be."""

import pytest

from berth_core.kube.types import Kind

from .builds import CI, COMMIT, build, found, is_over, project
from .denying import allow, deny
from .lab import INSTANCES, PODS, SECRETS, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver

QUOTAS = Kind("v1", "resourcequotas")
LONG = "x" * 252


async def is_forbidden(lab: Lab, resource: str) -> None:
    """A quota of nothing; a controller would write its status."""
    body = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {resource: "0"}},
    }
    await lab.client.create(QUOTAS, lab.namespace, body)
    await lab.status_patch(QUOTAS, "none", {"hard": {resource: "0"}, "used": {resource: "0"}})


async def failed(lab: Lab, name: str, words: str) -> None:
    over = await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True", seconds=60)
    assert over["status"]["reason"] == "StartFailed"
    assert words in over["status"]["message"]
    assert len(over["status"]["message"]) < 1000
    assert await lab.lease("desk") is None


@pytest.mark.release(twin="tests/envtest/operator/test_refusals.py::test_a_build_ends_when_what_it_needs_is_invalid")
async def test_a_lease_goes_back_when_what_it_opens_is_invalid_or_forbidden_for_too_long(
    lab: Lab, operators: Operators
) -> None:
    operators.start()
    await lab.type(limits={"startTimeout": 10})
    await lab.deployment("desk")
    # The name of its first rule would be too long.
    await lab.instance(LONG, deployments=["desk"], requesterAddress="192.0.2.7")
    await failed(lab, LONG, "the cluster refuses what the lease opens")
    await is_forbidden(lab, "secrets")
    await lab.instance("mine", deployments=["desk"])
    await failed(lab, "mine", "exceeded quota")
    left, _ = await lab.client.list(PODS, lab.namespace)
    assert left == []


async def test_a_build_ends_when_what_it_needs_is_invalid(lab: Lab, operators: Operators) -> None:
    resources = '{"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}'
    operators.start(**CI, BERTH_CI_RESOURCES=resources)
    await project(lab)
    uid = await build(lab, "one", commit=COMMIT)
    await found(lab, uid)
    over = await is_over(lab, "one")
    assert over["status"]["reason"] == "ClusterRefused"
    assert "must be less than or equal to cpu limit" in over["status"]["message"]


@pytest.mark.release(
    twin="tests/sim/test_histories.py::test_what_needs_a_write_that_is_refused_for_good_ends_or_says_so"
)
async def test_an_instance_that_cannot_end_says_what_is_refused_and_ends_when_it_is_allowed(
    lab: Lab, operators: Operators
) -> None:
    operators.start()
    await lab.type()
    await lab.deployment("desk")
    await lab.instance("mine", deployments=["desk"])
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True")

    async def probe(number: int) -> None:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"probe-{number}"}}
        await lab.client.create(SECRETS, lab.namespace, secret)
        await lab.client.delete(SECRETS, lab.namespace, f"probe-{number}")

    await deny(lab, SECRETS, "DELETE", "Secrets stay here", probe)
    await lab.client.patch(INSTANCES, lab.namespace, "mine", {"spec": {"terminate": True}})
    stalled = await lab.until(INSTANCES, "mine", lambda o: condition(o, "Stalled", "status") == "True")
    assert "Secrets stay here" in str(condition(stalled, "Stalled", "message"))
    assert await lab.lease("desk") is not None
    await allow(lab)
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Ended", "status") == "True")
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Stalled") == "Proceeds")
    assert await lab.lease("desk") is None
