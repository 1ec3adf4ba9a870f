"""A spec that is changed from A to B has the effects of B alone, and a bad one is forgotten once it is put right.

Compared with a type and a deployment that had B from the beginning: their status, and the pod and the NetworkPolicy of
an instance. Specs are made up from the resources' schemas; those that the API server refuses are made up again.
"""

import asyncio
import difflib
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, assume, given, seed, settings

from berth_core import names
from berth_core.kube.errors import ConflictError, InvalidError
from berth_core.kube.types import Kind, Object
from berth_core.overrides import CONFLICT
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import make_namespaces

from ..conftest import is_long
from ..envtest.operator.conftest import lab_in
from ..envtest.operator.lab import DEPLOYMENTS, INSTANCES, LEASES, PODS, POLICIES, TYPES, Lab, condition
from ..envtest.operator.process import Operators, restricted_kubeconfig
from .dump import any_epoch, normal
from .schemas import objects, spec_schema
from .seeds import SEED
from .stage import LEADER, STARTED_SECONDS

pytestmark = [pytest.mark.apiserver, pytest.mark.release(twin="tests/envtest/operator/test_relist.py")]

CHANGES = 200 if is_long() else 12
MADE_BY = frozenset({"typeName", "type"})
# Without what is kept warm for nobody yet: which pod an instance gets then hangs on time. Its changes are tested in
# tests/envtest/operator/test_warm.py.
type_specs = objects(spec_schema("workspacetypes"), "spec").map(lambda spec: spec | {"warm": False})
deployment_specs = objects(spec_schema("workspacedeployments"), "spec")


@dataclass
class Shop:
    """Types and deployments of one operator."""

    lab: Lab
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    changed: int = 0

    async def make(self, name: str, type_spec: Object, wd_spec: Object) -> None:
        """A type and a deployment of it, both of that name."""
        type_name = name.replace("-", "_")
        await self.lab.create(TYPES, name, type_spec | {"typeName": type_name})
        await self.lab.create(DEPLOYMENTS, name, wd_spec | {"type": type_name})

    async def change(self, kind: Kind, name: str, spec: Object) -> None:
        """Replace a spec, as `kubectl replace` does; again where the operator has written meanwhile."""
        while True:
            obj = await self.lab.get(kind, name)
            kept = {key: value for key, value in obj["spec"].items() if key in MADE_BY}
            try:
                await self.lab.client.request(
                    "PUT", kind.path(self.lab.namespace, name), body=obj | {"spec": spec | kept}
                )
            except ConflictError:
                continue
            return

    async def seen(self, name: str) -> None:
        """Wait until the operator has looked at both specs as they are."""
        for kind in (TYPES, DEPLOYMENTS):
            await self.lab.until(kind, name, _is_up_to_date, seconds=20)

    async def effects(self, name: str) -> list[str]:
        """Effects of a type and its deployment by the operator, in a form that is the same for every name."""
        await self.seen(name)
        wd = await self.lab.get(DEPLOYMENTS, name)
        kind = await self.lab.get(TYPES, name)
        # A conflict that is over goes on to say so; where there never was one, nothing does.
        shown = [one for one in wd["status"]["conditions"] if (one["type"], one["status"]) != (CONFLICT, "False")]
        found: list[Any] = [kind["status"], wd["status"] | {"conditions": shown}]
        everybody = not kind["spec"].get("retired") and kind["spec"].get("access") != "closed"
        if everybody and condition(wd, "Available") == "Free":
            instance = await self.lab.instance(f"i-{name}", deployments=[name], requesterAddress="198.51.100.7")
            made = await self.lab.until(INSTANCES, instance, lambda o: condition(o, "Bound", "status") == "True")
            public_id = made["metadata"]["uid"]
            pod = await self.lab.until(PODS, f"i-{public_id}", bool)
            policy = await self.lab.get(POLICIES, names.type_policy(name))
            found += [pod["metadata"]["labels"], pod["spec"], policy["spec"]]
            await self.lab.client.delete(INSTANCES, self.lab.namespace, instance)
        text = json.dumps(normal(found), indent=1, sort_keys=True)
        return text.replace(name, "<name>").replace(name.replace("-", "_"), "<name>").splitlines()


def _is_up_to_date(obj: Object) -> bool:
    return bool((obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"])


@pytest_asyncio.fixture(scope="module")
async def shop(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    folder = tmp_path_factory.mktemp("specs")
    namespaces = make_namespaces(apiserver)
    async with lab_in(apiserver, namespaces, judge=True) as lab:
        operators = Operators(restricted_kubeconfig(apiserver, namespaces, folder), namespaces, folder)
        operators.start()
        try:
            await lab.until(
                LEASES,
                LEADER,
                lambda lease: lease["spec"].get("holderIdentity"),
                namespace=namespaces.release,
                seconds=STARTED_SECONDS,
            )
            yield Shop(lab)
        finally:
            await asyncio.to_thread(operators.stop_all)


@pytest.mark.timeout(3600)
@seed(SEED)
@settings(
    max_examples=CHANGES,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(before=type_specs, after=type_specs, wd_before=deployment_specs, wd_after=deployment_specs)
async def test_a_changed_spec_has_the_effects_of_the_new_one_alone(
    shop: Shop, before: Object, after: Object, wd_before: Object, wd_after: Object
) -> None:
    number = next(shop.numbers)
    changed, fresh = f"changed-{number}", f"fresh-{number}"
    try:
        await shop.make(changed, before, wd_before)
        await shop.make(fresh, after, wd_after)
        await shop.seen(changed)
        await shop.change(TYPES, changed, after)
        await shop.change(DEPLOYMENTS, changed, wd_after)
    except InvalidError:
        assume(False)
    wanted, found = await shop.effects(fresh), await shop.effects(changed)
    difference = "\n".join(difflib.unified_diff(wanted, found, "fresh", "changed", lineterm="", n=4))
    assert not difference, f"FAULTS_SEED={SEED}, {before} and {wd_before} became {after} and {wd_after}:\n{difference}"
    shop.changed += 1


async def test_enough_specs_were_changed(shop: Shop) -> None:
    assert shop.changed >= CHANGES


GOOD: Object = {"template": {"image": "workspace.invalid/none:1", "env": [{"name": "KEPT", "value": "1"}]}}
BAD: dict[str, Object] = {
    "an amount that is none": {"template": GOOD["template"] | {"resources": {"limits": {"cpu": "plenty"}}}},
    "a label that is none": {"template": GOOD["template"] | {"nodeSelector": {"-": "?"}}},
    "a path that is taken": {
        "template": GOOD["template"]
        | {"volumes": [{"name": "keys", "mountPath": "/etc/berth/host-keys", "emptyDir": {}}]}
    },
    "a device that is none": {"template": GOOD["template"] | {"devices": {"not a name": 1}}},
}


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_spec_is_forgotten_once_it_is_put_right(shop: Shop, bad: str) -> None:
    number = next(shop.numbers)
    mended, fresh = f"mended-{number}", f"fresh-{number}"
    await shop.make(mended, GOOD, {})
    await shop.make(fresh, GOOD, {})
    await shop.seen(mended)
    await shop.change(TYPES, mended, BAD[bad])
    refused = await shop.lab.instance(f"refused-{number}", deployments=[mended])
    over = await shop.lab.until(INSTANCES, refused, lambda o: condition(o, "Ended", "status") == "True", seconds=40)
    assert over["status"]["reason"] == "StartFailed"
    assert "the cluster refuses what the lease opens" in over["status"]["message"]
    assert await shop.lab.absent(PODS, f"i-{over['metadata']['uid']}")
    await shop.change(TYPES, mended, GOOD)
    await shop.lab.until(DEPLOYMENTS, mended, lambda o: condition(o, "Available") == "Free", seconds=20)
    assert any_epoch(await shop.effects(mended)) == any_epoch(await shop.effects(fresh))
