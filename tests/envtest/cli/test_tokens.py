"""`berth token`: what was made is recorded before anybody sees it, listed, and can be ended."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from berth_core import ids, names
from berth_core.kube.client import Client
from berth_core.kube.model import parse_time, timestamp
from berth_core.resources import (
    Account,
    AccountSpec,
    InstanceSpec,
    IssuedToken,
    Reservation,
    ReservationSpec,
    TokenRevocation,
    manifest,
)
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces

from .conftest import Run


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def alice(installed: None, berth: Run, release: list[str]) -> str:
    """A token of alice's."""
    done = berth("token", "create", "--user", "alice", "--expires", "2h", *release)
    assert done.code == 0, done.err
    return str(done.out.strip())


async def revocations(client: Client, namespaces: Namespaces) -> dict[str, TokenRevocation]:
    listed, _ = await client.list(TokenRevocation.api(), namespaces.access)
    return {obj["metadata"]["name"]: TokenRevocation.parse(obj) for obj in listed}


async def test_a_token_is_recorded(client: Client, namespaces: Namespaces, alice: str) -> None:
    obj = await client.get(IssuedToken.api(), namespaces.access, digest(alice))
    claims = jwt.decode(alice, options={"verify_signature": False})
    assert obj["metadata"]["annotations"]["berth.dev/kid"] == jwt.get_unverified_header(alice)["kid"]
    assert obj["spec"]["user"] == "alice"
    assert parse_time(obj["spec"]["issued"]).timestamp() == claims["iat"]
    assert parse_time(obj["spec"]["expires"]).timestamp() == claims["exp"] == claims["iat"] + 7200
    assert alice not in json.dumps(obj)


def test_what_cannot_be_recorded_is_not_printed(installed: None, berth: Run, namespaces: Namespaces) -> None:
    words = ["--user", "alice", "-n", namespaces.release, "--access-namespace", f"{namespaces.access}-not"]
    done = berth("token", "create", *words)
    assert (done.code, done.out) == (4, "")
    assert done.err.count("\n") == 1
    assert "cannot be recorded, so it is not given out" in done.err
    assert "--access-namespace" in done.err


async def test_a_token_made_right_after_a_purge_is_issued_after_it(
    client: Client, namespaces: Namespaces, berth: Run, release: list[str], alice: str
) -> None:
    purged = timestamp(datetime.now(UTC) + timedelta(seconds=2.5))
    spec = AccountSpec(user="alice", tokens_valid_after=purged)
    await client.create(Account.api(), namespaces.access, manifest(Account, namespaces.access, "alice", spec))
    done = berth("token", "create", "--user", "alice", *release)
    issued = jwt.decode(done.out.strip(), options={"verify_signature": False})["iat"]
    assert issued >= parse_time(purged).timestamp() > jwt.decode(alice, options={"verify_signature": False})["iat"]
    listed = json.loads(berth("token", "list", "--user", "alice", "-o", "json", *release).out)
    assert [row["state"] for row in listed] == ["counts", "purged"]


def test_the_list(berth: Run, release: list[str], alice: str) -> None:
    berth("token", "create", "--user", "bob", "--scope", "ro", "--type", "misty", *release)
    listed = json.loads(berth("token", "list", "--output", "json", *release).out)
    assert [(row["user"], row["may"], row["state"]) for row in listed] == [
        ("alice", "read and write", "counts"),
        ("bob", "read, types misty", "counts"),
    ]
    assert listed[0]["sha256"] == digest(alice)
    lines = berth("token", "list", "--user", "bob", *release).out.splitlines()
    assert lines[0].split() == ["SHA256", "USER", "MAY", "ISSUED", "UNTIL", "STATE"]
    row = listed[1]
    assert lines[1].split() == [
        row["sha256"][:12], "bob", "read,", "types", "misty", row["issued"], row["until"], "counts",
    ]  # fmt: skip
    assert len(lines) == 2
    nobody = berth("token", "list", "--user", "carol", *release)
    assert (nobody.code, nobody.out) == (0, "")
    assert "of carol" in nobody.err


@pytest.mark.parametrize("form", ["token", "digest", "digits", "stdin"])
async def test_a_token_is_revoked_until_it_expires_however_it_is_named(
    client: Client, namespaces: Namespaces, berth: Run, access: list[str], alice: str, form: str
) -> None:
    word = {"token": alice, "digest": digest(alice), "digits": digest(alice)[:12], "stdin": "-"}[form]
    done = berth("token", "revoke", word, *access, stdin=f"{alice}\n" if form == "stdin" else "")
    assert done.code == 0, done.err
    assert f"token {digest(alice)} of alice is revoked" in done.out
    assert alice not in done.out + done.err
    (made,) = (await revocations(client, namespaces)).values()
    exp = jwt.decode(alice, options={"verify_signature": False})["exp"]
    assert made.metadata.name == ids.revocation(digest(alice), None)
    assert (made.spec.sha256, made.spec.user) == (digest(alice), None)
    assert parse_time(made.spec.expires).timestamp() == exp


def test_revoking_twice_is_revoking_once(berth: Run, release: list[str], access: list[str], alice: str) -> None:
    done = [berth("token", "revoke", alice, *access) for _ in range(2)]
    assert done[0] == done[1]
    assert done[0].code == 0
    assert json.loads(berth("token", "list", "-o", "json", *release).out)[0]["state"] == "revoked"


async def test_only_if_it_is_that_users(
    client: Client, namespaces: Namespaces, berth: Run, access: list[str], alice: str
) -> None:
    wrong = berth("token", "revoke", alice, "--user", "bob", *access)
    assert (wrong.code, wrong.out) == (1, "")
    assert "alice's, not bob's" in wrong.err
    assert await revocations(client, namespaces) == {}
    assert berth("token", "revoke", alice, "--user", "alice", *access).code == 0
    assert set(await revocations(client, namespaces)) == {ids.revocation(digest(alice), "alice")}


@pytest.mark.parametrize(
    ("words", "days"), [([], 366), (["--expires", "30d"], 30)], ids=["longest life", "as the caller says"]
)
async def test_a_token_without_a_record_is_revoked_in_advance(
    client: Client, namespaces: Namespaces, berth: Run, access: list[str], words: list[str], days: int
) -> None:
    sha256 = digest("unknown")
    for _ in range(2):
        assert berth("token", "revoke", sha256, *words, *access).code == 0
    kept = parse_time((await revocations(client, namespaces))[sha256].spec.expires) - datetime.now(UTC)
    assert timedelta(days=days, minutes=-2) < kept <= timedelta(days=days, seconds=1)


async def test_a_revocation_that_ends_before_the_token_is_no_success(
    client: Client, namespaces: Namespaces, berth: Run, access: list[str], alice: str
) -> None:
    sha256 = digest(alice)
    early = {"sha256": sha256, "expires": timestamp(datetime.now(UTC) + timedelta(minutes=1))}
    body: dict[str, Any] = {"metadata": {"name": sha256}, "spec": early}
    kind = {"apiVersion": "berth.dev/v1alpha1", "kind": "TokenRevocation"}
    await client.create(TokenRevocation.api(), namespaces.access, kind | body)
    done = berth("token", "revoke", sha256, *access)
    assert (done.code, done.out) == (1, "")
    assert "delete that TokenRevocation" in done.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["alice"], 2, "neither a token nor a SHA-256"),
        (["a" * 64, "--expires", "soon"], 2, "such as 90s"),
        (["a" * 64, "--user", ""], 2, "printable"),
        (["a" * 12], 4, "give all 64 digits"),
    ],
)
def test_wrong_wishes(berth: Run, access: list[str], words: list[str], code: int, message: str) -> None:
    done = berth("token", "revoke", *words, *access)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert done.err.count("\n") == 1


OPERATOR = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: berth-operator}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: operator}}}}
  template:
    metadata: {{labels: {{app: operator}}}}
    spec:
      containers:
        - {{name: operator, image: example/berth, env: [{{name: BERTH_WORKSPACE_NAMESPACES, value: "{0}"}}]}}
"""


@pytest.mark.release(
    twin="tests/envtest/api/test_made_by_a_token.py::test_what_a_revoked_token_made_ends_and_nothing_else"
)
async def test_what_a_token_made_is_looked_for_where_the_operator_has_it(
    apiserver: ApiServer, client: Client, namespaces: Namespaces, berth: Run, access: list[str], alice: str
) -> None:
    where = namespaces.workspaces
    spec = ReservationSpec(user="alice", workspace_type="t", instance=InstanceSpec(user="alice", workspace_type="t"))
    body = manifest(Reservation, where, "waits", spec, labels=names.token_labels(digest(alice)))
    await client.create(Reservation.api(), where, body)
    words = ("token", "revoke", digest(alice), "--with-what-it-made", "-n", namespaces.release, *access)
    unknown = berth(*words)
    assert (unknown.code, unknown.out) == (4, "")
    assert "is revoked" in unknown.err
    assert "--workspaces" in unknown.err
    assert await revocations(client, namespaces), "the token ends first"
    wrong = berth(*words, "-w", "nowhere")
    assert wrong.code == 4
    assert "there is no namespace nowhere" in wrong.err
    apiserver.kubectl("create", "-n", namespaces.release, "-f", "-", stdin=OPERATOR.format(where))
    done = berth(*words)
    assert done.code == 0, done.err
    assert f"Reservation waits of {where} is deleted" in done.out
