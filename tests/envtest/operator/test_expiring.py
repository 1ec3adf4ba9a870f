"""Many leases that end at the same moment. The bench (bench/expiry.py) does it with 1,000 of them."""

from ipaddress import IPv4Address

import pytest
from promised import promised

from berth_dev.envtest.expiring import expire_together
from berth_dev.envtest.puppets import Puppets

from .lab import DEPLOYMENTS, PODS, SECRETS, SERVICES, Lab

pytestmark = [
    pytest.mark.alone,
    pytest.mark.apiserver,
    pytest.mark.usefixtures("operator"),
    pytest.mark.release(twin="tests/envtest/operator/test_ending.py"),
]

COUNT = 100


async def test_a_hundred_that_expire_together_are_marked_and_deleted_within_seconds(
    lab: Lab, addresses: IPv4Address
) -> None:
    puppets = Puppets(lab.client, lab.namespace, f"node-of-{lab.namespace}", addresses)
    async with puppets.playing():
        figures = await expire_together(lab.client, puppets, COUNT, lead=30)
    assert len(figures.marked) == len(figures.deleting) == len(figures.given_back) == COUNT
    assert figures.marked[0] >= 0, "none before its time"
    assert figures.marked[-1] <= promised(10)
    assert figures.deleting[-1] <= promised(10)
    assert figures.given_back[-1] <= promised(30)
    for kind in (PODS, SERVICES, SECRETS):
        left, _ = await lab.client.list(kind, lab.namespace, labels={"berth.dev/instance": ""})
        assert left == [], f"{kind.plural} are left"
    deployments, _ = await lab.client.list(DEPLOYMENTS, lab.namespace)
    assert [wd["metadata"]["name"] for wd in deployments if wd["status"].get("lease")] == []
    assert {wd["status"]["instances"] for wd in deployments} == {1}
