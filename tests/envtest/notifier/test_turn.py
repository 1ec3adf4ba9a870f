"""The whole way: the keys of the installation, a reservation, its turn by the operator, the webhook at its receiver."""

import base64
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from forked import start
from standardwebhooks import Webhook

from berth_cli.admin.webhooks import secrets
from berth_cli.jobs.keys import ensure_keys
from berth_core import ids, names
from berth_core.kube.types import Kind
from berth_core.resources import Reservation, WorkspaceDeployment, WorkspaceType
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces
from berth_dev.ports import free_port

from .post import DELIVERIES, Post, receiving, shown
from .process import Notifiers

pytestmark = pytest.mark.apiserver

BERTH = f"{names.GROUP}/{names.VERSION}"


@pytest.fixture
async def mounted(post: Post, namespaces: Namespaces, tmp_path: Path) -> Path:
    """The signing Secret that the keys Job makes, as the kubelet mounts it."""
    await ensure_keys(post.client, namespaces.release, datetime.now(UTC))
    secret = await post.client.get(Kind("v1", "secrets"), namespaces.release, names.WEBHOOK_SECRET)
    for key, value in secret["data"].items():
        (tmp_path / key).write_bytes(base64.b64decode(value))
    return tmp_path


@pytest.fixture
def operator(apiserver: ApiServer, namespaces: Namespaces, mounted: Path) -> Iterator[None]:
    settings = {
        "KUBECONFIG": str(apiserver.kubeconfig),
        "BERTH_NAMESPACE": namespaces.release,
        "BERTH_WORKSPACE_NAMESPACES": namespaces.workspaces,
        "BERTH_ACCESS_NAMESPACE": namespaces.access,
        "BERTH_AGENT_IMAGE": "berth.invalid/berth:test",
        "BERTH_LISTEN": str(free_port()),
    }
    settings |= {"PATH": os.environ["PATH"]}
    process = start("berth_operator", settings, mounted / "operator.log")
    yield
    process.terminate()
    process.wait(timeout=60)


@pytest.mark.usefixtures("operator")
async def test_who_waited_is_told_of_his_turn(
    post: Post, namespaces: Namespaces, notifiers: Notifiers, mounted: Path
) -> None:
    notifiers.keys = mounted
    notifiers.start()
    client, where = post.client, namespaces.workspaces
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f test"
    async with receiving() as receiver:
        for resource, name, spec in (
            (WorkspaceType, "bench", {"typeName": "bench", "template": {"image": "workspace.invalid/none:1"}}),
            (WorkspaceDeployment, "one", {"type": "bench"}),
            (
                Reservation,
                "mine",
                {
                    "user": "alice",
                    "workspaceType": "bench",
                    "eventUrl": receiver.url,
                    "instance": {"user": "alice", "sshKeys": [key]},
                },
            ),
        ):
            body = {"apiVersion": BERTH, "kind": resource.KIND, "metadata": {"name": name}, "spec": spec}
            made = await client.create(resource.api(), where, body)
        uid = made["metadata"]["uid"]
        done = await post.until(f"turn-{uid}", lambda d: shown(d, "Delivered") == ("True", "Delivered"))
    (got,) = receiver.got
    assert got.id == f"msg_{uid}"
    # The receiver knows what `berth webhook secret alice` prints, or the public key.
    secret = await secrets.user_secret(client, namespaces.release, "alice")
    told = Webhook(secret).verify(got.body, got.headers)
    published = await client.get(Kind("v1", "configmaps"), namespaces.release, names.WEBHOOK_CONFIGMAP)
    public = published["data"][names.WEBHOOK_PUBLIC_KEY].removeprefix("whpk_")
    (ours,) = [word[4:] for word in got.headers["webhook-signature"].split(" ") if word.startswith("v1a,")]
    signed = f"{got.id}.{got.headers['webhook-timestamp']}.".encode() + got.body
    Ed25519PublicKey.from_public_bytes(base64.b64decode(public)).verify(base64.b64decode(ours), signed)
    assert told["type"] == "reservation.fulfilled"
    assert told["data"] == {
        "reservation": uid,
        "instance": ids.turn_instance(uid),
        "deployment": ids.deployment_id(where, "one"),
    }
    assert done.status.attempts == 1
    assert "PRIVATE" not in json.dumps(await client.get(DELIVERIES, where, f"turn-{uid}"))
