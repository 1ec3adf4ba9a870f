"""The audit: one line for each change that was asked for, with who, what, from where and what came of it."""

import base64
import json
import re
import uuid
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from .conftest import user_client
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

NOTHING = "00000000-0000-4000-8000-000000000000"
PATH_VALUES = {"type_name": "some_type", "sha256": "ab" * 32, "name": "vnc", "rule": "1", "rule_id": "1"}
"""By the parameters' names; the others take an id."""


def value_of(parameter: re.Match[str]) -> str:
    return PATH_VALUES.get(parameter.group(1), NOTHING)


@dataclass(frozen=True)
class Log:
    """The log of the process under test."""

    api: Api

    def lines(self) -> list[dict[str, Any]]:
        """All lines, parsed."""
        whole, _, _ = self.api.log.read_text().rpartition("\n")  # the last line may be being written
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    async def audit(self, answer: httpx.Response) -> list[dict[str, Any]]:
        """The audit's lines of a request, once the request's own line is there, which comes last."""
        request_id = answer.headers["X-Request-Id"]

        async def is_written() -> bool:
            return any(line["event"] == "request" and line["request_id"] == request_id for line in self.lines())

        await eventually(is_written)
        return [e for e in self.lines() if e["event"] == "audit" and e["request_id"] == request_id]


@pytest.fixture
def log(api: Api) -> Log:
    return Log(api)


@pytest.fixture
def token(signer: Signer) -> str:
    return signer.token("auditor", jti=str(uuid.uuid4()))


@pytest_asyncio.fixture
async def auditor(api: Api, token: str) -> Any:
    """A user of this module's own, since some of the routes end tokens."""
    async with user_client(api, token) as client:
        yield client


async def test_every_route_that_changes_something_writes_one_line(
    http: httpx.AsyncClient, api: Api, signer: Signer, log: Log
) -> None:
    document = (await http.get("/openapi.json")).json()
    changing = [(m.upper(), p) for p, item in document["paths"].items() for m in item if m in ("post", "delete")]
    assert len(changing) >= 6
    for method, template in changing:
        path = re.sub(r"\{(\w+)\}", value_of, template)
        async with user_client(api, signer.token("auditor", jti=str(uuid.uuid4()))) as client:
            answer = await client.request(method, path)
        assert "unrecognized command" not in answer.text, path
        lines = await log.audit(answer)
        if template.endswith("/ka"):
            assert lines == []
            continue
        assert len(lines) == 1, template
        line = lines[0]
        assert line["action"].startswith(f"{method} /")
        assert re.sub(r":\w+\}", "}", line["action"]) == f"{method} {template}"
        assert line["status"] == answer.status_code
        assert line["user"] == "auditor"
        assert line["result"] in {"ok", "refused", "failed"}
        assert line["logger"] == "berth.audit"
        assert line["timestamp"].endswith("Z")


async def test_reads_and_what_is_no_command_write_none(auditor: httpx.AsyncClient, log: Log) -> None:
    for method, path in (
        ("GET", "/instances"),
        ("GET", f"/firewall/{NOTHING}"),
        ("HEAD", "/workspaces"),
        ("OPTIONS", "/new"),
        ("POST", "/nowhere"),
        ("DELETE", "/workspaces"),
    ):
        assert await log.audit(await auditor.request(method, path)) == []


async def test_a_launch_names_who_what_from_where_and_which_instance(
    world: World, auditor: httpx.AsyncClient, token: str, log: Log
) -> None:
    kind, key = await world.type(deployments=1), {"Idempotency-Key": str(uuid.uuid4())}
    path = f"/new/{kind}?secret=hidden-in-the-query"
    answer = await auditor.post(path, headers=key | {"X-Forwarded-For": "203.0.113.7"})
    made = answer.json()
    (line,) = await log.audit(answer)
    assert line["action"].startswith("POST /new/{")
    assert list(line["target"].values()) == [kind]
    assert line["made"] == {"id": made["id"]}
    assert (line["user"], line["proof"], line["peer"]) == ("auditor", "token", "203.0.113.7")
    assert re.fullmatch("[0-9a-f]{16}", line["token_sha256"])
    assert (line["status"], line["result"], line["error"], line["replayed"]) == (200, "ok", None, False)
    again = await auditor.post(path, headers=key)
    (line,) = await log.audit(again)
    assert (line["made"], line["replayed"]) == ({"id": made["id"]}, True)
    busy = await auditor.post(f"/new/{kind}")
    (line,) = await log.audit(busy)
    assert (line["status"], line["result"], line["made"]) == (503, "refused", {})
    ended = await auditor.post(f"/terminate/{made['id']}")
    (line,) = await log.audit(ended)
    assert (line["result"], line["target"]) == ("ok", {"instance_id": made["id"]})
    text = log.api.log.read_text()
    body = "".join(made["sshkey"].splitlines()[1:-1])
    for secret in (token, token.split(".")[2], "PRIVATE KEY", body[:40], "hidden-in-the-query", key["Idempotency-Key"]):
        assert secret not in text


async def test_refusals_are_in_it_with_their_reason(http: httpx.AsyncClient, bob: httpx.AsyncClient, log: Log) -> None:
    answer = await http.post("/new/some_type")
    (line,) = await log.audit(answer)
    assert (line["user"], line["proof"], line["token_sha256"]) == (None, None, None)
    assert (line["result"], line["error"]) == ("refused", "wrong authorization token")
    answer = await http.post("/new/some_type", headers={"Authorization": "Bearer not-a-token"})
    (line,) = await log.audit(answer)
    assert line["user"] is None
    assert re.fullmatch("[0-9a-f]{16}", line["token_sha256"])
    answer = await bob.delete(f"/firewall/{NOTHING}", headers={"Accept": "application/vnd.rerobots.v9+json"})
    (line,) = await log.audit(answer)
    assert (line["action"], line["status"]) == ("DELETE /firewall/{instance_id:id}", 406)


async def test_a_purge_by_password_names_whom_it_claims_to_be_and_never_the_password(
    http: httpx.AsyncClient, log: Log
) -> None:
    basic = base64.b64encode(b"mallory:let-me-in-please").decode()
    pair = {"user": "mallory", "password": "let-me-in-please"}
    for answer in (
        await http.post("/purge", headers={"Authorization": f"Basic {basic}"}),
        await http.post("/purge", json=pair),
    ):
        (line,) = await log.audit(answer)
        assert (line["action"], line["user"], line["proof"]) == ("POST /purge", "mallory", "password")
        assert line["result"] == "refused"
    text = log.api.log.read_text()
    assert "let-me-in-please" not in text
    assert basic not in text


async def test_a_token_in_a_path_is_in_no_line(http: httpx.AsyncClient, log: Log, token: str) -> None:
    """As of somebody who revokes the token itself instead of its SHA-256."""
    answer = await http.post(f"/revoke/{token}")
    assert answer.json() == {"error_message": "unrecognized command"}
    assert await log.audit(answer) == []
    assert token not in log.api.log.read_text()
    assert token.split(".")[2] not in log.api.log.read_text()
