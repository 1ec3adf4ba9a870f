"""The worst client: whatever a token and the role berth-user allow, as fast as it is told, each time something new."""

import asyncio
import itertools
import random
import re
import secrets
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from berth_core.kube.client import Client
from berth_core.kube.errors import ClusterError
from berth_core.kube.types import Kind, Object
from berth_core.names import API_VERSION
from berth_core.resources import Build, Instance, Project, Reservation, Resource

Json = dict[str, Any]

KEYS: Final = 8
"""Of an Instance, which together are as long as they may be."""
ALL_KEYS: Final = 16 << 10
NOTE: Final = 30 << 10
"""Characters of an annotation."""
CHANGED: Final = 0.3
KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ "
PATIENCE: Final = aiohttp.ClientTimeout(total=30)
UNDER_WAY: Final = 200
"""Requests without an answer, of all sorts: more would wait for this process, and not for the one that is tried."""
SLOW: Final = 50
"""Connections that send a byte of a body now and then."""
_PARAMETER: Final = re.compile(r"\{([a-z_0-9]+)\}")
_MAKING: Final = ("/new", "/ci/new")


@dataclass
class Worst:
    """A client that has a token, the role, and time."""

    url: str
    token: str
    cluster: Client
    namespace: str
    user: str
    document: Json
    machines: list[str]
    type_name: str
    receiver: str
    """URL of what never answers a webhook."""
    answers: Counter[str] = field(default_factory=Counter)
    """Of the API by status, of the cluster by what came of a request."""
    known: dict[str, list[str]] = field(default_factory=dict)
    _rng: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 (no secret)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def play(self, rate: float, seconds: float) -> None:
        """Send so many requests a second to the API, and as many to the cluster; keep slow connections meanwhile."""
        async with aiohttp.ClientSession(self.url, timeout=PATIENCE) as session:
            async with asyncio.timeout(seconds + 120), asyncio.TaskGroup() as tasks:
                slow = [tasks.create_task(self._slow()) for _ in range(SLOW)]
                paced = [
                    tasks.create_task(_paced(rate, seconds, self._requests(session))),
                    tasks.create_task(_paced(rate, seconds, self._objects())),
                ]
                await asyncio.gather(*paced)
                for task in slow:
                    task.cancel()

    def _requests(self, session: aiohttp.ClientSession) -> Callable[[], Coroutine[Any, Any, None]]:
        operations = itertools.cycle(
            [(method.upper(), path) for path, methods in self.document["paths"].items() for method in methods]
        )

        async def one() -> None:
            method, path = next(operations)
            filled = _PARAMETER.sub(lambda found: self._value(found[1]), path)
            headers = {"Authorization": f"Bearer {self.token}"}
            if method != "GET":
                headers["Idempotency-Key"] = secrets.token_hex(16)
            body = self._body(path) if method == "POST" else None
            try:
                async with session.request(method, filled, json=body, headers=headers) as answer:
                    self.answers[str(answer.status)] += 1
                    if answer.status == 200 and method == "POST" and path.startswith(_MAKING):
                        self._learn(await answer.json())
                    else:
                        await answer.read()
            except (aiohttp.ClientError, TimeoutError):
                self.answers["no answer"] += 1

        return one

    def _learn(self, made: Json) -> None:
        for name, parameter in (
            ("id", "instance_id"),
            ("id", "reservation_id"),
            ("pid", "project_id"),
            ("jid", "job_id"),
        ):
            if name in made:
                self.known.setdefault(parameter, []).append(made[name])
                del self.known[parameter][:-50]

    def _value(self, parameter: str) -> str:
        match parameter:
            case "sha256":
                return secrets.token_hex(32)
            case "type_name":
                return self.type_name
            case "target" | "deployment_id":
                return self._rng.choice(self.machines)
            case "rest":
                return f"{self._value('instance_id')}/cam"
        return self._rng.choice(self.known.get(parameter) or ["0190f7a0-0000-7000-8000-000000000000"])

    def _body(self, path: str) -> Json:
        number = next(self._numbers)
        if path.startswith("/new"):
            options = {
                "sshkey": KEY + "x" * 200,
                "vpn": number % 2 == 0,
                "eurl": self.receiver,
                "keepalive": number % 3 == 0,
            }
            return options | {"reserve": number % 2 == 1, "expire_d": 60, "wds": self.machines[:20]}
        if path == "/ci/new":
            named = {"ns": f"n{number}-{'x' * 100}", "repo_type": "git", "repo_branch": "b" * 200}
            return {"repo_url": f"https://10.0.0.1/{'a' * 1000}/{number}.git"} | named
        bodies: dict[str, Json] = {
            "/firewall/{instance_id}": {"src": f"192.0.2.{number % 250}/32", "action": "ACCEPT"},
            "/deployment/{deployment_id}/rule": {"cap": "CAP_INSTANTIATE", "user": f"user-{number}-{'x' * 200}"},
            "/ci/project/{project_id}/job": {"branch": f"{number}-{'b' * 200}"},
            "/ci/project/{project_id}/job/{job_id}": {"do": "restart"},
            "/instance/{instance_id}/extend": {"expire_d": 60 + number},
            "/purge": {"user": "ada", "password": f"guess-{number}"},
        }
        return bodies.get(path, {})

    def _objects(self) -> Callable[[], Coroutine[Any, Any, None]]:
        """Objects as large as they may be, of all kinds that the role may make; when no more may be made, others go."""
        kinds: list[tuple[type[Resource], Callable[[], Json]]] = [
            (Instance, self._instance),
            (Project, self._project),
            (Build, self._build),
            (Reservation, self._reservation),
        ]
        makers = itertools.cycle(kinds)

        async def one() -> None:
            kind, spec = next(makers)
            name = f"worst-{next(self._numbers)}"
            metadata = {"name": name, "annotations": {"example.test/note": secrets.token_hex(NOTE // 2)}}
            made: Object = {"apiVersion": API_VERSION, "kind": kind.KIND, "metadata": metadata, "spec": spec()}
            mine = self.known.setdefault(kind.KIND, [])
            try:
                await self.cluster.create(kind.api(), self.namespace, made)
                mine.append(name)
                self.answers["made"] += 1
                if self._rng.random() < CHANGED:
                    await self._change(kind.api(), name)
            except ClusterError as error:
                self.answers[f"refused {error.status}"] += 1
                if mine:
                    await self._end(kind, mine.pop(self._rng.randrange(len(mine))))

        return one

    async def _change(self, kind: Kind, name: str) -> None:
        note = {"metadata": {"annotations": {"example.test/note": secrets.token_hex(NOTE // 2)}}}
        await self.cluster.patch(kind, self.namespace, name, note)

    async def _end(self, kind: type[Resource], name: str) -> None:
        """End what becomes history by that, and delete the rest."""
        ends: dict[type[Resource], Object] = {Instance: {"terminate": True}, Build: {"cancel": 1}}
        try:
            if kind in ends:
                await self.cluster.patch(kind.api(), self.namespace, name, {"spec": ends[kind]})
            else:
                await self.cluster.delete(kind.api(), self.namespace, name)
            self.answers["ended"] += 1
        except ClusterError as error:
            self.answers[f"not ended {error.status}"] += 1

    def _instance(self) -> Json:
        each = ALL_KEYS // KEYS - len(KEY)
        keys = [KEY + secrets.token_hex(each // 2) for _ in range(KEYS)]
        return {"workspaceType": self.type_name, "user": self.user, "sshKeys": keys}

    def _project(self) -> Json:
        number = next(self._numbers)
        url = f"https://git.example.test/{secrets.token_hex(1000)}.git"
        return {"name": f"k-{number}", "user": self.user, "repoURL": url}

    def _build(self) -> Json:
        return {"project": f"worst-{self._rng.randrange(1000)}", "user": self.user, "branch": secrets.token_hex(100)}

    def _reservation(self) -> Json:
        return {"workspaceType": self.type_name, "user": self.user, "instance": self._instance()}

    async def _slow(self) -> None:
        """Send a request whose body never ends, a byte a second; begin anew when it is given up."""
        where = urlsplit(self.url)
        lines = [f"POST /new/{self.type_name} HTTP/1.1", "Host: a", f"Authorization: Bearer {self.token}"]
        head = "\r\n".join([*lines, "Content-Length: 60000", "", "{"]).encode()
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(where.hostname, where.port)
                try:
                    writer.write(head)
                    while not writer.is_closing():
                        writer.write(b" ")
                        await writer.drain()
                        await asyncio.sleep(1)
                finally:
                    writer.close()
            await asyncio.sleep(1)


async def _paced(rate: float, seconds: float, one: Callable[[], Coroutine[Any, Any, None]]) -> None:
    loop = asyncio.get_running_loop()
    start, under_way = loop.time(), set[asyncio.Task[None]]()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
        if len(under_way) < UNDER_WAY:
            task = asyncio.create_task(one())
            under_way.add(task)
            task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)


def silent_receiver() -> socket.socket:
    """A socket that takes connections and never answers."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=500)
    listening.setblocking(False)
    return listening
