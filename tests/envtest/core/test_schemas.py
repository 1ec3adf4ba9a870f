"""Whatever the CRDs of a real API server accept, the models read; and what the models write, the API server accepts.

FUZZ_OBJECTS objects a kind are tried (`make test-fuzz`: 10,000), made from FUZZ_SEED.
"""

import asyncio
import json
import os
import random
import zlib
from collections.abc import Callable
from typing import Any, Final

import orjson
import pytest
import yaml
from schema_values import spoilt, value

from berth_core.firewall import Rule, parse_source
from berth_core.kube import conditions
from berth_core.kube.client import MERGE_PATCH, Client
from berth_core.kube.errors import ClusterError, InvalidError
from berth_core.kube.model import parse_time
from berth_core.kube.types import Object
from berth_core.machines.sharing import blocks
from berth_core.names import API_VERSION
from berth_core.queue import order
from berth_core.queue.waiters import in_turn
from berth_core.resources import (
    KINDS,
    FirewallRule,
    Instance,
    Reservation,
    Resource,
    WorkspaceDeployment,
    WorkspaceType,
)
from berth_dev.paths import REPOSITORY

from .objects import NAMES, SPECS

pytestmark = pytest.mark.apiserver

OBJECTS: Final = int(os.environ.get("FUZZ_OBJECTS", "200"))
SEED: Final = int(os.environ.get("FUZZ_SEED", "1"))
AT_ONCE: Final = 8
WRITTEN_AGAIN: Final = 4
"""Every so many-th object that is accepted is written once more, as the models have it."""
BASE: Final = "base"
"""Object whose status is tried."""
DRY: Final = {"dryRun": "All", "fieldManager": "fuzz"}
MOMENT: Final = "2026-01-01T00:00:00Z"
CONDITION: Final = {"type": "Ready", "status": "True", "reason": "R", "message": "", "lastTransitionTime": MOMENT}
STATUSES: Final[dict[str, Object]] = {
    "WorkspaceDeployment": {
        "epoch": 1,
        "lease": {"instance": "i", "user": "ada", "claimedAt": MOMENT},
        "conditions": [CONDITION],
    },
    "Instance": {
        "queued": {"since": MOMENT, "version": 1},
        "deployment": "one",
        "epoch": 1,
        "nonce": "a1",
        "hookNonces": {"reset": "b2"},
        "machine": {"network": {"addresses": ["192.0.2.40/32"], "ports": [{"port": 22}]}},
        "address": {"ipv4": "192.0.2.7", "port": 30000},
        "startTime": MOMENT,
        "vpn": {"issued": ["u"]},
        "firewall": {"generation": 1, "digest": "d"},
        "conditions": [CONDITION],
    },
    "Connector": {
        "request": {"kind": "renew", "serial": "ab"},
        "certificate": {
            "pem": "PEM",
            "serial": "ab",
            "previous": "cd",
            "notBefore": MOMENT,
            "notAfter": MOMENT,
            "tokenHash": "5e" * 32,
            "requestHash": "5e" * 32,
        },
        "links": [{"replica": "berth-hub-0", "since": MOMENT}],
        "words": [{"deployment": "d", "epoch": 1, "over": True, "word": "w"}],
        "conditions": [CONDITION],
    },
    "Account": {"slots": [{"instance": "i", "type": "misty"}], "taking": True},
}


def _rules(resource: Resource) -> None:
    assert isinstance(resource, FirewallRule)
    Rule.parse(resource.spec.source, resource.spec.action)


def _networks(resource: Resource) -> None:
    assert isinstance(resource, WorkspaceType)
    for cidr in resource.spec.network.allowed:
        parse_source(cidr)


def _machine(resource: Resource) -> None:
    assert isinstance(resource, WorkspaceDeployment)
    if resource.network is not None:
        resource.network.reached()
        list(blocks(resource.network.addresses))


def _waiter(resource: Resource) -> None:
    assert isinstance(resource, Instance | Reservation)
    in_turn([resource])
    if isinstance(resource, Instance) and resource.network is not None:
        resource.network.reached()
    if isinstance(resource, Reservation):
        order.positions([resource], lambda _namespace, _name: None)
    elif resource.spec.requester_address:
        parse_source(resource.spec.requester_address)


READERS: Final[dict[type[Resource], Callable[[Resource], None]]] = {
    FirewallRule: _rules,
    WorkspaceType: _networks,
    WorkspaceDeployment: _machine,
    Instance: _waiter,
    Reservation: _waiter,
}
"""Readers of a kind in passes over many objects; times and conditions are read of all kinds."""


def read(kind: type[Resource], obj: Object) -> Resource:
    """Read an object as Berth does."""
    resource = kind.parse(orjson.loads(json.dumps(obj)))
    for moment in _times(resource.model_dump()):
        assert parse_time(moment).tzinfo is not None
    conditions.merged(getattr(getattr(resource, "status", None), "conditions", ()), ())
    if kind in READERS:
        READERS[kind](resource)
    return resource


def _times(node: Any) -> list[str]:
    names = ("_time", "since", "claimed_at", "dissolved", "issued", "expires", "tokens_valid_after", "_attempt")
    if isinstance(node, list | tuple):
        return [found for one in node for found in _times(one)]
    if not isinstance(node, dict):
        return []
    mine = [one for name, one in node.items() if isinstance(one, str) and name.endswith(names)]
    return mine + [found for one in node.values() for found in _times(one)]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND)
async def test_what_the_schema_accepts_the_models_read(client: Client, namespace: str, kind: type[Resource]) -> None:
    rng = random.Random(zlib.crc32(f"{SEED} {kind.KIND}".encode()))  # noqa: S311 (it is repeatable)
    tries, parts = Tries(client, kind, namespace), _schema(kind)["properties"]
    if "status" in parts:
        await client.create(kind.api(), namespace, _body(kind, BASE, SPECS[kind]))
    bodies = []
    for _ in range(OBJECTS):
        if "status" in parts and rng.random() < 0.5:
            base = STATUSES.get(kind.KIND, {"conditions": [CONDITION]} if "conditions" in _status(parts) else {})
            bodies.append(("status", spoilt(parts["status"], base, rng)))
        elif rng.random() < 0.1:
            bodies.append(("spec", value(parts["spec"], rng)))
        else:
            bodies.append(("spec", spoilt(parts["spec"], SPECS[kind], rng)))
    waiting = iter(bodies)

    async def work() -> None:
        for part, body in waiting:
            await tries.one(part, body)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    assert not tries.wrong, "\n".join(tries.wrong[:10])
    assert tries.accepted >= OBJECTS / 20, f"{tries.accepted} of {OBJECTS} objects were accepted: too few to say much"


class Tries:
    """Objects of a kind that are tried, and what came of it."""

    def __init__(self, client: Client, kind: type[Resource], namespace: str) -> None:
        self._client, self._kind, self._namespace = client, kind, namespace
        self.accepted = 0
        self.wrong: list[str] = []

    async def one(self, part: str, body: Any) -> None:
        """Try one object."""
        stored = await self._write(part, body)
        if stored is None:
            return
        self.accepted += 1
        try:
            resource = read(self._kind, stored)
        except (ClusterError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
            self.wrong.append(f"accepted and not read: {type(error).__name__}: {error}: {json.dumps({part: body})}")
            return
        if self.accepted % WRITTEN_AGAIN:
            return
        again = resource.wire()[part]
        try:
            written = await self._send(part, again)
        except InvalidError as error:
            self.wrong.append(f"read, written and refused: {error.message}: {json.dumps(again)}")
            return
        if getattr(read(self._kind, written), part) != getattr(resource, part):
            self.wrong.append(f"another after it was written again: {json.dumps(again)}")

    async def _write(self, part: str, body: Any) -> Object | None:
        try:
            return await self._send(part, body)
        except InvalidError:
            return None  # the API server refuses it: not ours to read

    async def _send(self, part: str, body: Any) -> Object:
        path = self._kind.api().path
        if part == "status":
            where = path(self._namespace, BASE, "status")
            return await self._client.request("PATCH", where, body={part: body}, query=DRY, content_type=MERGE_PATCH)
        # An IssuedToken is named by a field.
        name = body["sha256"] if self._kind in NAMES and isinstance(body, dict) and "sha256" in body else "tried"
        whole = _body(self._kind, str(name)[:253], body)
        return await self._client.request("POST", path(self._namespace), body=whole, query=DRY)


def _body(kind: type[Resource], name: str, spec: Any) -> Object:
    return {"apiVersion": API_VERSION, "kind": kind.KIND, "metadata": {"name": name}, "spec": spec}


def _schema(kind: type[Resource]) -> Any:
    text = (REPOSITORY / "crds" / f"{kind.PLURAL}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def _status(parts: Any) -> Any:
    return parts.get("status", {}).get("properties", {})
