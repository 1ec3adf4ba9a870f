"""Puts the application together."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from berth_api import metrics
from berth_api.access_rules import routes as rules
from berth_api.auth.authentication import Authenticate
from berth_api.auth.oidc import ProviderKeys
from berth_api.auth.passwords import Passwords
from berth_api.auth.revocations import Revocations
from berth_api.auth.tokens import make_verifier
from berth_api.builds import routes as ci
from berth_api.builds.followers import CONNECTIONS, Followers, Readers
from berth_api.builds.view import BuildView
from berth_api.cache.caches import Caches
from berth_api.cache.coalescing import Claims, Reads
from berth_api.config import Config
from berth_api.dependencies import get_caller, get_user
from berth_api.deployments import routes as deployments
from berth_api.firewall import routes as firewall
from berth_api.http import errors
from berth_api.http.envelope import Envelope
from berth_api.http.errors import ApiError
from berth_api.http.negotiation import Negotiate
from berth_api.http.openapi import Application
from berth_api.idempotency import replay
from berth_api.idempotency.middleware import Idempotent
from berth_api.instances import routes as instances
from berth_api.keepalive import routes as keeping
from berth_api.keepalive.renewals import Renewals
from berth_api.launch import routes as launching
from berth_api.launch.keys import KeyPool
from berth_api.machines import routes as machines
from berth_api.meta import addons, documentation, health, root, webhooks
from berth_api.power import routes as power
from berth_api.protocol_version import ProtocolVersion
from berth_api.queues import routes as queues
from berth_api.ratelimit import Limiter, RateLimited
from berth_api.recovery import Recovery
from berth_api.reservations import routes as reservations
from berth_api.state import State
from berth_api.timekeeping import keep_time
from berth_api.tls.certificate import Certificate
from berth_api.tokens import routes as tokens
from berth_api.vpn import routes as vpn
from berth_core.archive.storage import Archive
from berth_core.kube import errors as cluster
from berth_core.kube.client import Client
from berth_core.kube.connection import connect
from berth_core.leases.protocol import NewerProtocolError
from berth_core.names import API_MANAGER

log = structlog.get_logger(__name__)

ROUTERS = (
    root,
    deployments,
    machines,
    queues,
    launching,
    instances,
    keeping,
    firewall,
    vpn,
    power,
    reservations,
    webhooks,
    rules,
    ci,
    tokens,
    addons,
    health,
    documentation,
)
DESCRIPTION = """Lends out robots and other scarce machines, one holder at a time.

Tokens go in `Authorization: Bearer …`. Refusals are JSON with `error_message`. Every answer has `X-Request-Id`."""


def make_app(config: Config, certificate: Certificate | None = None) -> FastAPI:
    """Make the application; it connects to the cluster when it starts, and keeps a certificate new."""
    app = Application(
        config,
        need_token=frozenset({get_user, keeping.get_pinger, tokens.get_prover}),
        know_caller=get_caller,
        title="Berth",
        version="1",
        description=DESCRIPTION,
        lifespan=_lifespan(config, certificate),
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: f"{route.tags[0]}_{route.name}",
    )
    # A request passes these from the last to the first.
    app.add_middleware(Idempotent, recovery=Recovery())
    app.add_middleware(Negotiate)
    app.add_middleware(RateLimited)
    app.add_middleware(Authenticate)
    app.add_middleware(Envelope, config=config)
    for module in ROUTERS:
        app.include_router(module.router)
    app.state.exit_status = 0
    app.state.known_routes = [route for module in ROUTERS for route in module.router.routes]
    for kind in (ApiError, HTTPException, RequestValidationError, cluster.ClusterError):
        app.add_exception_handler(kind, errors.handle)
    return app


def make_state(config: Config, client: Client, logs: Client, certificate: Certificate | None = None) -> State:
    """Make the state that all requests share; ``logs`` is the client for slow reads."""
    provider = ProviderKeys(config.provider) if config.provider is not None else None
    client.before_request = replay.before_look_up
    return State(
        config=config,
        client=client,
        logs=logs,
        caches=Caches(client, config.workspace_namespaces),
        tokens=make_verifier(config, provider),
        provider=provider,
        revocations=Revocations(client, config.access_namespace),
        passwords=Passwords(client, config.access_namespace),
        limiter=Limiter(config.rate_limit),
        reads=Reads(replay.before_look_up),
        claims=Claims(),
        protocol=ProtocolVersion(client, config.namespace),
        certificate=certificate,
        archive=Archive(config.archive) if config.archive is not None else None,
        parts={
            KeyPool: KeyPool(),
            Renewals: Renewals(),
            BuildView: BuildView(client, config.workspace_namespaces),
            Followers: Followers(metrics.FOLLOWERS),
            Readers: Readers(metrics.READERS),
        },
    )


def _lifespan(config: Config, certificate: Certificate | None) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(await connect(API_MANAGER, config.kubeconfig))
            apart = await connect(API_MANAGER, config.kubeconfig, connections=CONNECTIONS, clock=client.clock)
            state = make_state(config, client, await stack.enter_async_context(apart), certificate)
            reflectors = {**state.caches.all, **state.part(BuildView).reflectors}
            jobs = {f"cache {kind}": reflector.run() for kind, reflector in reflectors.items()}
            jobs |= {
                "rows": state.caches.keep_rows(),
                "keys": state.part(KeyPool).run(),
                "revocations": state.revocations.run(),
            }
            jobs |= {"time": keep_time(client), "protocol": state.protocol.run()}
            if state.provider is not None:
                jobs["provider's keys"] = state.provider.run()
            if certificate is not None:
                jobs["certificate"] = certificate.run()
            app.state.berth = state
            app.state.tasks = [_start(app, name, job) for name, job in jobs.items()]
            yield
            for task in app.state.tasks:
                task.cancel()
            await asyncio.gather(*app.state.tasks, return_exceptions=True)
            await state.limiter.close()

    return lifespan


def _start(app: FastAPI, name: str, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(job, name=name)
    task.add_done_callback(partial(_report, app))
    return task


def _report(app: FastAPI, task: asyncio.Task[None]) -> None:
    if task.cancelled():
        return
    if isinstance(error := task.exception(), NewerProtocolError):
        log.error("cannot run", error=str(error))
        app.state.exit_status = 1
        signal.raise_signal(signal.SIGTERM)
    else:
        # /healthz fails from now on, so the process is restarted.
        log.error("task ended", task=task.get_name(), error=repr(error))
