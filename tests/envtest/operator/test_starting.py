"""An operator that starts while the API server is overloaded goes on starting."""

import asyncio
from http import HTTPStatus
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from ..api.gateway import Gateway, serving
from .lab import DEPLOYMENTS, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver


class Overloaded(Gateway):
    """Refuses the first requests, as an API server does that has too many."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        super().__init__(server, session)
        self.left = 3

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.left == 0:
            return await super().handle(request)
        self.left -= 1
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "TooManyRequests", "code": 429}
        return web.json_response(status, status=HTTPStatus.TOO_MANY_REQUESTS, headers={"Retry-After": "1"})


async def test_an_operator_that_meets_an_overloaded_api_server_waits_for_it(
    lab: Lab, operators: Operators, tmp_path: Path
) -> None:
    async with serving(operators.kubeconfig, Overloaded) as gateway:
        process = operators.start(KUBECONFIG=str(gateway.kubeconfig(operators.kubeconfig, tmp_path / "it.kubeconfig")))
        await lab.type()
        await lab.deployment("one")
        await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free", seconds=30)
        assert gateway.left == 0
        assert process.poll() is None
        await asyncio.to_thread(operators.stop_all)
