"""Users with as many of a kind as they may have are listed for the policy that refuses more, and struck out again."""

import asyncio
import json
from collections.abc import Callable

import pytest

from berth_core.kube.types import Kind

from .lab import INSTANCES, KEY, RESERVATIONS, RULES, Lab
from .process import Operators

pytestmark = pytest.mark.apiserver

QUOTAS = Kind("v1", "resourcequotas")
SPEC = {"user": "ada", "workspaceType": "none", "instance": {"user": "ada", "sshKeys": [KEY]}}


async def says(lab: Lab, holds: Callable[[dict[str, str]], bool]) -> dict[str, str]:
    """Annotations of the object that the policy reads, once they are so."""
    found = await lab.until(
        QUOTAS, "berth-allowances", lambda o: holds(o["metadata"].get("annotations") or {}), seconds=30
    )
    annotations: dict[str, str] = found["metadata"].get("annotations") or {}
    return annotations


async def test_who_has_as_many_as_one_may_is_named_until_there_are_fewer(lab: Lab, operators: Operators) -> None:
    operators.start(BERTH_MOST_EACH=json.dumps({"instances": 2, "reservations": 2, "firewallrules": 2}))
    await says(lab, lambda told: told == {})
    mine = [await lab.instance(f"i-{n}", user="ada", workspaceType="none", deployments=None) for n in range(2)]
    await lab.instance("other", user="bob", workspaceType="none", deployments=None)
    for n in range(2):
        await lab.create(RESERVATIONS, f"r-{n}", SPEC)
        await lab.create(RULES, f"f-{n}", {"instance": "mine", "source": "192.0.2.1/32", "action": "ACCEPT"})
    told = await says(lab, lambda told: len(told) == 3)
    assert told == {
        "berth.dev/full-instances": "\nada\n",
        "berth.dev/full-reservations": "\nada\n",
        "berth.dev/full-firewallrules": "\nmine\n",
    }
    await lab.client.delete(QUOTAS, lab.namespace, "berth-allowances")
    assert await says(lab, lambda again: again == told) == told, "it comes back where somebody deletes it"
    await lab.client.patch(INSTANCES, lab.namespace, mine[0], {"spec": {"terminate": True}})
    await asyncio.gather(
        lab.client.delete(RESERVATIONS, lab.namespace, "r-0"), lab.client.delete(RULES, lab.namespace, "f-0")
    )
    await says(lab, lambda told: told == {})
