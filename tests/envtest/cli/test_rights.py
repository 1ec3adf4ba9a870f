"""Each command works with the rights that docs/how-to/tokens.md gives it, and no others."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from berth_cli.admin.keys import rotation
from berth_cli.admin.tokens import records
from berth_cli.admin.users import accounts
from berth_core.kube.client import Client
from berth_core.kube.model import timestamp
from berth_core.kube.types import Kind, Object
from berth_core.resources import Account, IssuedTokenSpec
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces
from berth_dev.paths import REPOSITORY

from .conftest import Run

BERTHS = {"accounts", "issuedtokens", "tokenrevocations"}
SHA = "9f86d081" * 8
RELEASE_ONLY = {"key list", "key rotate", "webhook secret"}
ACCESS_ONLY = {"token revoke", "user add", "user set-password", "user list", "user remove"}
RBAC = "rbac.authorization.k8s.io/v1"
ACCOUNTS = Kind("v1", "serviceaccounts")
PASSWORD = "correct horse battery"


def documented() -> dict[str, tuple[str, str]]:
    """Cells of the page's table, by command."""
    page = (REPOSITORY / "docs/how-to/tokens.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `((?:token|key|user|webhook) [a-z-]+)` \|(.*)\|(.*)\|$", page, re.MULTILINE)
    return {command: (release, access) for command, release, access in rows}


def rules(cell: str) -> list[dict[str, Any]]:
    parts = [part.strip() for part in cell.split(";") if part.strip()]
    found = [re.fullmatch(r"`([a-z]+)` ([a-z, ]+)", part) for part in parts]
    return [
        {
            "apiGroups": ["berth.dev" if match[1] in BERTHS else ""],
            "resources": [match[1]],
            "verbs": match[2].split(", "),
        }
        for match in found
        if match is not None
    ]


async def grant(server: ApiServer, client: Client, namespaces: Namespaces, command: str, folder: Path) -> Path:
    """Kubeconfig of an account with the rights of one command."""
    where = namespaces.release
    await client.create(ACCOUNTS, where, {"metadata": {"name": "admin"}})
    subject = {"kind": "ServiceAccount", "name": "admin", "namespace": where}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "admin"}
    for namespace, cell in zip((namespaces.release, namespaces.access), documented()[command], strict=True):
        common: Object = {"metadata": {"name": "admin"}}
        await client.create(Kind(RBAC, "roles"), namespace, common | {"rules": rules(cell)})
        binding = common | {"roleRef": reference, "subjects": [subject]}
        await client.create(Kind(RBAC, "rolebindings"), namespace, binding)
    path = ACCOUNTS.path(where, "admin", "token")
    asked = await client.request("POST", path, body={"spec": {"expirationSeconds": 3600}})
    config = yaml.safe_load(server.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": asked["status"]["token"]}
    written = folder / "config"
    written.write_text(yaml.safe_dump(config))
    return written


@pytest.mark.parametrize(
    "words",
    [
        "token create --user alice",
        "token list",
        "token revoke {digits}",
        "key list",
        "key rotate",
        "key remove {old} --yes",
        "user add carol --password-stdin",
        "user set-password alice --password-stdin",
        "user list",
        "user remove alice --force",
        "webhook secret alice",
    ],
)
async def test_the_documented_rights_are_enough(
    apiserver: ApiServer,
    client: Client,
    namespaces: Namespaces,
    installed: None,
    berth: Run,
    tmp_path: Path,
    words: str,
) -> None:
    now = datetime.now(UTC)
    times = {"issued": timestamp(now), "expires": timestamp(now + timedelta(hours=1))}
    await records.record(client, namespaces.access, IssuedTokenSpec(sha256=SHA, user="alice", **times), "kid")
    done = await rotation.rotate(client, namespaces.release, at_once=True)
    await accounts.add(client, namespaces.access, "alice", None)
    purged: dict[str, Any] = {"spec": {"tokensValidAfter": timestamp(now + timedelta(seconds=1))}}
    await client.patch(Account.api(), namespaces.access, "alice", purged)
    command = " ".join(words.split()[:2])
    config = await grant(apiserver, client, namespaces, command, tmp_path)
    typed = words.format(digits=SHA[:12], old=done.before).split()
    where = ["-n", namespaces.release] if command not in ACCESS_ONLY else []
    where += ["--access-namespace", namespaces.access] if command not in RELEASE_ONLY else []
    ended = berth(*typed, *where, "--kubeconfig", str(config), stdin=PASSWORD)
    assert ended.code == 0, ended.err


def test_every_row_is_understood() -> None:
    assert len(documented()) == 11
    for cells in documented().values():
        for cell in cells:
            assert len(rules(cell)) == len([part for part in cell.split(";") if part.strip()]), json.dumps(cell)
