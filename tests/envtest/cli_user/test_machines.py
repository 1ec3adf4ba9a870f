"""An owner's machine by the command line: `berth machine add`, `change` and `retire`."""

import json

import pytest

from berth_core.names import API_VERSION
from berth_core.resources import MachineGrant

from ..api.world import World
from .conftest import Person

pytestmark = pytest.mark.apiserver


async def granted(world: World, user: str, network: str) -> str:
    """Let a user register machines of a type of the test's own; the type."""
    kind = await world.type()
    spec = {"users": [user], "types": [kind], "networks": [{"cidr": network}], "deployments": 1}
    name = f"for-{kind.replace('_', '-')}"
    body = {"apiVersion": API_VERSION, "kind": MachineGrant.KIND, "metadata": {"name": name}, "spec": spec}
    await world.client.create(MachineGrant.api(), world.namespaces.workspaces, body)
    return kind


async def test_an_owner_adds_changes_and_retires_a_machine(world: World, person: Person) -> None:
    ada = person("ada")
    kind = await granted(world, ada.name, "198.22.0.0/24")
    words = ("--address", "198.22.0.7", "--port", "30002", "--port", "7400-7500/UDP", "--probe", "30002")
    done = ada.berth("machine", "add", kind, *words, "--region", "roof", "-o", "json")
    assert done.code == 0, done.err
    assert "`berth search -o wide` shows whether it can be had" in done.err
    shown = json.loads(done.out)
    assert shown["machine"]["network"] == {"addresses": ["198.22.0.7/32"], "ports": ["30002/TCP", "7400-7500/UDP"]}
    spec = (await world.deployment_resource(shown["id"])).spec
    assert (spec.owners, spec.region, spec.health and spec.health.tcp) == ([ada.name], "roof", 30002)
    full = ada.berth("machine", "add", kind, "--address", "198.22.0.8")
    assert full.code != 0
    assert "retire one first" in full.err
    done = ada.berth(
        "machine", "change", shown["id"], "--address", "198.22.0.9", "--no-probe", "--maintenance", "tests"
    )
    assert done.code == 0, done.err
    assert "198.22.0.9/32" in done.out
    spec = (await world.deployment_resource(shown["id"])).spec
    assert spec.health is None
    assert spec.maintenance is not None
    assert spec.region == "roof"
    done = ada.berth("machine", "retire", shown["id"])
    assert (done.code, done.out) == (0, f"deployment {shown['id']} is retired\n")
    assert (await world.deployment_resource(shown["id"])).spec.dissolved is not None


async def test_refusals_say_what_to_do(world: World, person: Person) -> None:
    ada, eve = person("ada"), person("eve")
    kind = await granted(world, ada.name, "198.22.1.0/24")
    assert "ask an administrator for one" in eve.berth("machine", "add", kind, "--address", "198.22.1.7").err
    assert "lies in no entry" in ada.berth("machine", "add", kind, "--address", "198.51.100.7").err
    for words, hint in (
        (("add", kind), "--address"),
        (("change", "arm-7", "--desc", "x"), "`berth search` shows them"),
        (("retire", "arm-7"), "`berth search` shows them"),
        (("change", "arm-7"), "nothing to change"),
        (("change", "arm-7", "--port", "22"), "--port goes with --address"),
        (("change", "arm-7", "--probe", "22", "--no-probe"), "exclude each other"),
    ):
        done = ada.berth("machine", *words)
        assert done.code == 2, words
        assert hint in done.err
