"""Objects carry the digest of their token, so that `berth token revoke --with-what-it-made` finds and ends them."""

import asyncio
import os
import subprocess
from hashlib import sha256

import pytest

from berth_cli.admin.tokens import cleanup
from berth_core import names
from berth_core.kube.errors import NotFoundError
from berth_core.resources import (
    FirewallRule,
    Instance,
    MachineGrant,
    MachineGrantSpec,
    Project,
    Reservation,
    manifest,
)
from berth_core.resources.machines.grant import GrantedNetwork
from berth_dev.paths import REPOSITORY

from .conftest import Setting, made, user_client
from .process import Api
from .signing import Signer
from .world import World

pytestmark = pytest.mark.apiserver


async def revoked(setting: Setting, world: World, token: str) -> str:
    """Revoke a token with all that it made; answer what the command printed."""
    command = [
        *(str(REPOSITORY / ".venv" / "bin" / "berth"), "token", "revoke", "-", "--with-what-it-made"),
        *("--workspaces", world.namespaces.workspaces, "--access-namespace", world.namespaces.access),
    ]
    environment = os.environ | {"KUBECONFIG": str(setting.server.kubeconfig)}
    done = await asyncio.to_thread(
        subprocess.run, command, input=token, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert token not in done.stdout + done.stderr
    return done.stdout


async def test_what_a_revoked_token_made_ends_and_nothing_else(
    world: World, api: Api, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_name = await world.type(deployments=2)
    stolen, own = signer.token("mallory", jti="stolen"), signer.token("mallory", jti="own")
    async with user_client(api, stolen) as thief, user_client(api, own) as owner:
        taken, kept = await made(thief, type_name), await made(owner, type_name)
        queued = (await thief.post(f"/new/{type_name}", json={"reserve": True})).json()["id"]
        waits = (await owner.post(f"/new/{type_name}", json={"reserve": True})).json()["id"]
        for client, name in ((thief, "evil"), (owner, "own")):
            assert (await client.post("/ci/new", json={"repo_url": f"https://git.test/{name}"})).status_code == 200
        await world.make_ready(kept)
        for action in ("ACCEPT", "DROP"):
            rule = {"src": "192.0.2.7", "action": action}
            assert (await thief.post(f"/firewall/{kept}", json=rule)).status_code == 200
    namespace = world.namespaces.workspaces
    label = names.token_labels(sha256(stolen.encode()).hexdigest())
    found, _ = await world.client.list(Instance.api(), namespace, labels=label)
    assert [obj["metadata"]["name"] for obj in found] == [taken]
    monkeypatch.setattr(cleanup, "LATE_SECONDS", 0.0)  # nothing is under way
    done = "\n".join(await cleanup.end(world.client, [namespace], sha256(stolen.encode()).hexdigest()))
    assert f"Instance {taken} of {namespace} ends" in done
    assert (await world.client.get(Instance.api(), namespace, taken))["spec"]["terminate"] is True
    assert not (await world.client.get(Instance.api(), namespace, kept))["spec"].get("terminate")
    rules, _ = await world.client.list(FirewallRule.api(), namespace, labels=label)
    assert [rule["spec"]["action"] for rule in rules] == ["DROP"], "without it more would be open"
    assert f"FirewallRule {rules[0]['metadata']['name']} of {namespace} stays" in done
    projects, _ = await world.client.list(Project.api(), namespace, fields={"spec.user": "mallory"})
    assert [project["spec"]["repoURL"] for project in projects] == ["https://git.test/own"]
    await world.client.get(Reservation.api(), namespace, waits)
    with pytest.raises(NotFoundError):
        await world.client.get(Reservation.api(), namespace, queued)


@pytest.mark.release(
    twin="tests/envtest/api/test_made_by_a_token.py::test_what_a_revoked_token_made_ends_and_nothing_else"
)
async def test_machines_that_a_revoked_token_registered_are_locked(
    world: World, api: Api, signer: Signer, setting: Setting
) -> None:
    type_name, namespace = await world.type(), world.namespaces.workspaces
    networks = [GrantedNetwork(cidr="198.20.0.0/24")]
    spec = MachineGrantSpec(users=["mallory"], types=[type_name], networks=networks, deployments=2)
    await world.client.create(MachineGrant.api(), namespace, manifest(MachineGrant, namespace, "stolen", spec))
    token = signer.token("mallory", jti="of a keeper", sc=["own"])
    async with user_client(api, token) as client:
        machine = {"network": {"addresses": ["198.20.0.7"]}}
        answer = await client.post("/deployment", json={"type": type_name, "machine": machine})
        assert answer.status_code == 200, answer.text
    name = answer.json()["id"]
    done = await revoked(setting, world, token)
    assert f"WorkspaceDeployment {name} of {namespace} is locked" in done
    assert (await world.deployment_resource(name)).spec.lockout is True


async def test_rules_of_a_firewall_carry_it_too(world: World, api: Api, signer: Signer) -> None:
    type_name = await world.type(deployments=1)
    token = signer.token("mallory")
    async with user_client(api, token) as client:
        instance = await made(client, type_name)
        await world.make_ready(instance)
        assert (await client.post(f"/firewall/{instance}", json={"src": "192.0.2.7"})).status_code == 200
    label = names.token_labels(sha256(token.encode()).hexdigest())
    found, _ = await world.client.list(FirewallRule.api(), world.namespaces.workspaces, labels=label)
    assert len(found) == 1
