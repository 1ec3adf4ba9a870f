"""Tokens of service accounts change: the operator's watches go on with the one that its files have now."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web

from berth_dev.envtest.accounts import token
from berth_dev.envtest.apiserver import ApiServer

from ..api.gateway import Gateway, serving
from .lab import DEPLOYMENTS, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver


class Revoking(Gateway):
    """Refuses kopf a token, as the API server does once it has expired; what the first refusal brings is up to you."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        super().__init__(server, session)
        self.token = ""
        self.refusals = 0
        self.refuses: Callable[[], object] = lambda: None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        given = request.headers.get("Authorization")
        if request.headers["User-Agent"].startswith("kopf") and given == f"Bearer {self.token}":
            self.refusals += 1
            if self.refusals == 1:
                self.refuses()
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Unauthorized", "code": 401}
            return web.json_response(status, status=401)
        return await super().handle(request)


async def test_watches_go_on_with_the_token_that_came_after_the_refused_one(
    lab: Lab, operators: Operators, apiserver: ApiServer, tmp_path: Path
) -> None:
    account = f"operator-{lab.namespaces.release}"
    async with serving(operators.kubeconfig, Revoking) as gateway:
        path = gateway.kubeconfig(operators.kubeconfig, tmp_path / "revoked.kubeconfig")
        config = yaml.safe_load(path.read_text())
        gateway.token = config["users"][0]["user"]["token"]
        config["users"][0]["user"]["token"] = token(apiserver, account, lab.namespaces.release)
        gateway.refuses = lambda: path.write_text(yaml.safe_dump(config))
        operators.start(KUBECONFIG=str(path))
        await lab.type()
        await lab.deployment("one")
        await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")
        # The first state may come from the first list; this change comes from the watch.
        await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"lockout": True}})
        await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Lockout")
        assert gateway.refusals
        await asyncio.to_thread(operators.stop_all)


async def test_an_operator_that_is_refused_and_has_no_other_token_ends_with_a_reason(
    lab: Lab, operators: Operators, tmp_path: Path
) -> None:
    async with serving(operators.kubeconfig, Revoking) as gateway:
        path = gateway.kubeconfig(operators.kubeconfig, tmp_path / "revoked.kubeconfig")
        gateway.token = yaml.safe_load(path.read_text())["users"][0]["user"]["token"]
        process = operators.start(KUBECONFIG=str(path))
        assert await asyncio.to_thread(process.wait, 30) == 1
    last = (operators.folder / "operator-0.log").read_text().splitlines()[-1]
    assert "the API server refuses this process's credentials" in json.loads(last)["error"]
