"""The OpenAPI document says what the API does: read as a whole, and tried with requests made from it."""

import asyncio
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from berth_core.names import API_VERSION
from berth_core.resources import MachineGrant
from berth_dev.paths import REPOSITORY

from . import ci, process
from .conftest import Setting
from .process import Api
from .signing import Signer
from .world import World

Json = dict[str, Any]

FUZZ = REPOSITORY / "tests" / "fuzz"
SECONDS = int(os.environ.get("FUZZ_SECONDS", "20"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
RUNS = 3
DEPLOYMENTS, INSTANCES, BUILDS, REGISTERED = 60, 20, 12, 20
LEAST = int(os.environ.get("FUZZ_REQUESTS", "150"))
"""Requests that must have been made, or nothing is shown; `make test-fuzz` makes 20,000. A run that the machine had no
time for is followed by another, with the next seed."""


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


async def test_every_route_is_described(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    for name, operation in operations(document):
        assert operation["summary"], name
        assert all(parameter.get("description") for parameter in operation.get("parameters", [])), name
        assert "200" in operation["responses"] or "404" in operation["responses"], name
        assert all(answer["description"] for answer in operation["responses"].values()), name


async def test_every_answer_says_what_is_in_it(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            for media in answer.get("content", {}).values():
                assert media["schema"], f"{name} {status}"


async def test_references_lead_somewhere(http: httpx.AsyncClient) -> None:
    text = (await http.get("/openapi.json")).text
    components = json.loads(text)["components"]
    for kind, name in set(re.findall(r'"#/components/([a-z]+)/([^"]+)"', text)):
        assert name in components[kind]
    assert "#/$defs" not in text


async def test_only_optional_tokens_are_called_optional(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    needed = {name for name, operation in operations(document) if {} not in operation.get("security", [{}])}
    for name in needed:
        method, _, path = name.partition(" ")
        answer = await http.request(method, re.sub(r"\{[a-z_]+\}", _example(path), path))
        assert answer.status_code in {400, 404}, name


async def test_a_key_is_documented_where_it_is_read(alice: httpx.AsyncClient) -> None:
    document = (await alice.get("/openapi.json")).json()
    too_long = {"Idempotency-Key": "k" * 256}
    for name, operation in operations(document):
        method, _, path = name.partition(" ")
        named = "Idempotency-Key" in {one["name"] for one in operation.get("parameters", [])}
        if method != "POST":
            assert not named, name
            continue
        url = re.sub(r"\{[a-z_]+\}", _example(path), path)
        answer = await alice.post(url, headers=too_long)
        assert ("Idempotency-Key must be" in answer.text) == named, name


def _example(path: str) -> str:
    return "a" * 64 if "sha256" in path else "0190f7a0-0000-7000-8000-000000000000"


@pytest.mark.release(twin="tests/envtest/api/test_s1_malformed_requests.py")
@pytest.mark.timeout(SECONDS * (RUNS + 1) + 300)
async def test_nothing_contradicts_the_document(
    setting: Setting, signer: Signer, world: World, alice: httpx.AsyncClient, tmp_path: Path
) -> None:
    known = await populate(world, alice)
    (tmp_path / "setting.json").write_text(json.dumps(_fuzz_setting(signer, known)))
    with process.running(setting.environment(), tmp_path / "api.log") as api:
        made = 0
        for seed in range(SEED, SEED + RUNS):
            status, report = await fuzz(api, tmp_path, seed)
            assert status == 0, report[-20_000:]
            made = requests_answered(api)
            if made >= LEAST:
                break
    print(f"{made} requests")  # noqa: T201 (for who runs it by hand)
    assert made >= LEAST
    assert "Traceback" not in (tmp_path / "api.log").read_text()


async def fuzz(api: Api, folder: Path, seed: int) -> tuple[int, str]:
    """Run schemathesis against a process; answers its exit status and what it printed."""
    running = await asyncio.create_subprocess_exec(
        REPOSITORY / ".venv" / "bin" / "schemathesis",
        *("--config-file", FUZZ / "schemathesis.toml", "run", f"{api.url}/openapi.json"),
        *("--max-time", str(SECONDS), "--workers", "1", "--max-failures", "20", "--seed", str(seed)),
        *("--request-timeout", "10", "--no-color"),
        env=os.environ | {"SCHEMATHESIS_HOOKS": str(FUZZ / "hooks.py"), "FUZZ_SETTING": str(folder / "setting.json")},
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert running.stdout is not None
    lines = []
    async for line in running.stdout:
        lines.append(line.decode())
        print(lines[-1], end="", flush=True)  # noqa: T201 (progress)
    return await running.wait(), "".join(lines)


def _fuzz_setting(signer: Signer, known: Json) -> Json:
    pem = signer.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {"key": pem.decode(), "kid": signer.kid, "user": "fuzz", "known": known}


async def populate(world: World, alice: httpx.AsyncClient) -> dict[str, list[str]]:
    """Make something for requests to be about; answers values by the name of a parameter."""
    type_name = await world.type(deployments=DEPLOYMENTS)
    machines = (await alice.get(f"/deployments/{type_name}")).json()["workspace_deployments"]
    held, free = machines[:INSTANCES], machines[INSTANCES:]
    instances, waiting = [], []
    for number, machine in enumerate(held):
        options = {"vpn": number % 2 == 0, "keepalive": number % 3 == 0}
        instances.append((await alice.post(f"/new/{machine}", json=options)).json()["id"])
        await world.make_ready(instances[-1])
        waiting.append((await alice.post(f"/new/{machine}", json={"reserve": True})).json()["id"])
    networks = [{"cidr": "198.21.0.0/24"}]
    spec = {"users": ["fuzz"], "types": [type_name], "networks": networks, "deployments": 1000}
    space, kind = world.namespaces.workspaces, MachineGrant
    body = {"apiVersion": API_VERSION, "kind": kind.KIND, "metadata": {"name": "fuzzed"}, "spec": spec}
    await world.client.create(kind.api(), space, body)
    registered = [await world.deployment(type_name, owners=["fuzz"], grant="fuzzed") for _ in range(REGISTERED)]
    builds = [await ci.asked(alice, "fuzzed") for _ in range(BUILDS)]
    for number, build in enumerate(builds[1:]):
        kept = {"log": await ci.log_of(world, build, b"$ make\n" * number)}
        left = {"artifacts": await ci.artifacts_of(world, build, b"x" * 100)} if number % 2 else {}
        await ci.end(world, build, ("Passed", "ScriptFailed")[number % 2], **kept | left)
    return {
        "project_id": ["fuzzed"],
        "job_id": builds,
        "type_name": [type_name],
        "target": [type_name, *free],
        "deployment_id": [*held[:2], *free, *registered],
        "wds": free,
        "instance_id": instances,
        "reservation_id": waiting,
    }


def requests_answered(api: Api) -> int:
    """How many requests the process has answered, by its own count."""
    lines = httpx.get(api.metrics_url).text.splitlines()
    return int(sum(float(line.split()[-1]) for line in lines if line.startswith("berth_api_requests_total{")))
