"""One API process: the real state, caches, services and idempotency, called below FastAPI's routing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import orjson
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from berth_api.access_rules import service as rules
from berth_api.access_rules.schemas import AccessRuleRequest
from berth_api.app import make_state
from berth_api.auth.identity import Identity
from berth_api.builds import projects
from berth_api.builds import service as ci_builds
from berth_api.builds.schemas import BuildChange
from berth_api.builds.view import BuildView
from berth_api.config import Config, from_environment
from berth_api.firewall import service as firewall
from berth_api.firewall.schemas import FirewallRequest, cidr
from berth_api.http import errors
from berth_api.http.answers import JSON, Empty
from berth_api.http.bodies import bind
from berth_api.http.errors import ApiError
from berth_api.idempotency.middleware import Idempotent
from berth_api.instances import service as instances
from berth_api.keepalive import service as keeping
from berth_api.launch.keys import KeyPool
from berth_api.launch.service import launch
from berth_api.recovery import Recovery
from berth_api.reservations import service as reservations
from berth_api.reservations.wish import LaunchRequest, Target, Wish
from berth_api.state import State
from berth_api.timekeeping import keep_time
from berth_api.vpn import service as vpn
from berth_core import names
from berth_core.keys.ssh import KeyPair
from berth_core.kube import errors as cluster_errors
from berth_core.kube.clock import StoreClock

from .client import SimulatedClient
from .cluster import ACCESS, LAB, RELEASE, Cluster
from .network import Network

PEER: Final = ip_address("198.51.100.7")
PAIR: Final = KeyPair("private", "ssh-rsa AAAA berth")

Told = Callable[[int, dict[str, Any]], object]
"""Is given the status and the body of an answer; status 0 for none."""


class FixedKeys(KeyPool):
    """Key pairs without the making of them."""

    async def take(self) -> KeyPair:
        await asyncio.sleep(0)
        return PAIR


@cache
def _config() -> Config:
    return from_environment(
        {
            "BERTH_NAMESPACE": RELEASE,
            "BERTH_WORKSPACE_NAMESPACES": LAB,
            "BERTH_ACCESS_NAMESPACE": ACCESS,
            "BERTH_JWKS_FILE": str(Path(__file__).with_name("no_keys.json")),
        }
    )


class Api:
    """A replica."""

    def __init__(
        self, cluster: Cluster, name: str, network: Network, clock: StoreClock | None, *, builds: bool
    ) -> None:
        self.cluster, self.name, self.network, self._clock, self._builds = cluster, name, network, clock, builds
        self.loop = cluster.world.loop(name)
        self.state: State | None = None
        self.loop.call_soon(lambda: self.loop.create_task(self._main()))

    async def _main(self) -> None:
        feeds, store = self.cluster.feeds, self.cluster.store
        client = SimulatedClient(self.loop, store, self.network, feeds, names.API_MANAGER, clock=self._clock)
        state = make_state(_config(), client, client)
        state = replace(state, parts={**state.parts, KeyPool: FixedKeys()})
        async with asyncio.TaskGroup() as tasks:
            for kept in state.caches.all.values():
                tasks.create_task(kept.run())
            tasks.create_task(state.caches.keep_rows())
            if self._builds:
                for kept in state.part(BuildView).reflectors.values():
                    tasks.create_task(kept.run())
            tasks.create_task(keep_time(client))
            self.state = state

    def call(self, path: str, user: str, body: dict[str, Any], key: str, told: Told) -> None:
        """Have a POST answered in this process; a request to one that is not ready is refused."""
        state = self.state
        if self.loop.dead or state is None:
            self.cluster.world.at(0.001, lambda: told(503, {}))
            return
        self.loop.call_soon(lambda: self.loop.create_task(self._answer(state, path, user, body, key, told)))

    async def _answer(self, state: State, path: str, user: str, body: dict[str, Any], key: str, told: Told) -> None:
        identity = Identity(user=user, digest="0" * 64, expires=4e9, superuser=user == "admin")
        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [(b"idempotency-key", key.encode())] if key else [],
            "state": {"standing": SimpleNamespace(identity=identity, refusal=None), "request_id": "r"},
            "app": SimpleNamespace(state=SimpleNamespace(berth=state)),
        }
        data, sent = [orjson.dumps(body)], list[Message]()

        async def receive() -> Message:
            return {"type": "http.request", "body": data.pop() if data else b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        try:
            await Idempotent(_routed, Recovery())(scope, receive, send)
        except Exception as error:  # what the Envelope answers with 500: nobody expected it
            self.cluster.violated(f"crash: {type(error).__name__} of {path.split('/')[1]}: {error}"[:200])
            told(500, {})
            return
        content = b"".join(message.get("body", b"") for message in sent[1:])
        answer = orjson.loads(content) if content else {}
        self.cluster.world.at(self.network.delay(), lambda: told(int(sent[0]["status"]), answer))


async def _routed(scope: Scope, receive: Receive, send: Send) -> None:
    """Call the service that a path names, and shape errors as the application does."""
    request = Request(scope, receive)
    state = cast(State, scope["app"].state.berth)
    user = cast(Identity, scope["state"]["standing"].identity)
    body = orjson.loads(await request.body() or b"{}")
    _, verb, *rest = scope["path"].split("/")
    try:
        response: Any = await _SERVICES[verb](state, user, body, rest[0] if rest else "")
    except (ApiError, cluster_errors.ClusterError) as error:
        response = await errors.handle(request, error)
    await response(scope, receive, send)


async def _new(state: State, user: Identity, body: dict[str, Any], target: str) -> JSON:
    wanted = Target(deployments=(target.lower(),)) if "-" in target else Target(type=target)
    launched = await launch(state, Wish(user, wanted, bind(LaunchRequest, body), PEER))
    return JSON(launched.model_dump(exclude_none=True))


async def _terminate(state: State, user: Identity, _: dict[str, Any], instance_id: str) -> Empty:
    await instances.terminate(state, user, instance_id)
    return Empty()


async def _show(state: State, user: Identity, _: dict[str, Any], instance_id: str) -> JSON:
    held, _detail = await instances.detail(state, user, instance_id)
    return JSON({"id": held.instance.public_id, "status": str(held.state)})


async def _cancel(state: State, user: Identity, _: dict[str, Any], reservation_id: str) -> Empty:
    await reservations.cancel(state, user, reservation_id)
    return Empty()


async def _rule(state: State, user: Identity, body: dict[str, Any], instance_id: str) -> Empty:
    rule = bind(FirewallRequest, body)
    await firewall.append(state, user, instance_id, rule.src or cidr(str(PEER)), rule.action)
    return Empty()


async def _clear(state: State, user: Identity, _: dict[str, Any], instance_id: str) -> Empty:
    await firewall.clear(state, user, instance_id)
    return Empty()


async def _ping(state: State, user: Identity, _: dict[str, Any], instance_id: str) -> Empty:
    await keeping.ping(state, user, instance_id, asyncio.get_running_loop().time())
    return Empty()


async def _build(state: State, user: Identity, _: dict[str, Any], project: str) -> JSON:
    found = await projects.one(state, user, project)
    return JSON({"pid": project, "jid": await ci_builds.start(state, found, user, ci_builds.Revision("main", None))})


async def _change(state: State, user: Identity, _: dict[str, Any], words: str) -> Empty:
    project, build_id, word = words.split(".")
    await ci_builds.change(state, user, project, build_id, bind(BuildChange, {"do": word}).do)
    return Empty()


async def _forbid(state: State, user: Identity, body: dict[str, Any], deployment: str) -> JSON:
    rule = bind(AccessRuleRequest, body)
    return JSON({"id": await rules.add(state, user, deployment, rule.cap, rule.user)})


async def _permit(state: State, user: Identity, _: dict[str, Any], words: str) -> Empty:
    deployment, number = words.split(".")
    await rules.remove(state, user, deployment, int(number))
    return Empty()


async def _vpn(state: State, user: Identity, _: dict[str, Any], instance_id: str) -> JSON:
    client, _profile = await vpn.add_client(state, user, instance_id)
    return JSON({"id": client})


async def _revoke(state: State, user: Identity, _: dict[str, Any], words: str) -> Empty:
    instance_id, client = words.split(".")
    await vpn.revoke_client(state, user, instance_id, client)
    return Empty()


_SERVICES: Final[dict[str, Callable[[State, Identity, dict[str, Any], str], Awaitable[Any]]]] = {
    "new": _new,
    "terminate": _terminate,
    "show": _show,
    "cancel": _cancel,
    "rule": _rule,
    "clear": _clear,
    "ka": _ping,
    "build": _build,
    "change": _change,
    "forbid": _forbid,
    "permit": _permit,
    "vpn": _vpn,
    "revoke": _revoke,
}
