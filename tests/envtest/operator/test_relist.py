"""A watch that begins, or begins anew, after something has vanished tells nothing of that; the operator finds out."""

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from ..api.gateway import Gateway, gateway, serving
from . import hooks
from .builds import CI, build, found, is_over, pod_of, project, started
from .lab import ACCESS_RULES, BUILDS, INSTANCES, PODS, POLICIES, Lab
from .process import Operators

pytestmark = pytest.mark.apiserver


class LateWatch(Gateway):
    """Holds back the list from which the operator's watch of pods begins."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        super().__init__(server, session)
        self.let_go = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        begins = request.headers["User-Agent"].startswith("kopf") and "watch" not in request.query
        if begins and request.path.endswith("/pods"):
            await self.let_go.wait()
        return await super().handle(request)


async def test_a_pod_that_went_before_its_watch_began_holds_nothing_up(
    lab: Lab, operators: Operators, tmp_path: Path
) -> None:
    first = operators.start(**CI)
    await project(lab)
    uid = await build(lab, "one")
    pod = await pod_of(lab, await started(lab, uid, "fetch"))
    first.send_signal(signal.SIGTERM)
    await asyncio.to_thread(first.wait, 20)
    await lab.client.patch(BUILDS, lab.namespace, "one", {"spec": {"cancel": 1}})
    async with serving(operators.kubeconfig, LateWatch) as gateway:
        operators.start(KUBECONFIG=str(gateway.kubeconfig(operators.kubeconfig, tmp_path / "late.kubeconfig")), **CI)
        await lab.until_gone(PODS, pod, seconds=20)
        gateway.let_go.set()
        await is_over(lab, "one", seconds=10)
        left, _ = await lab.client.list(POLICIES, lab.namespace, labels={"berth.dev/build": uid})
        assert left == []
        await asyncio.to_thread(operators.stop_all)


async def test_a_rule_that_the_operator_made_counts_before_its_watch_tells_of_it(
    lab: Lab, operators: Operators, tmp_path: Path
) -> None:
    async with gateway(operators.kubeconfig) as between:
        between.silent = lambda _method, path: path.endswith("/firewallrules")
        deaf = str(between.kubeconfig(operators.kubeconfig, tmp_path / "deaf.kubeconfig"))
        operators.start(KUBECONFIG=deaf, BERTH_NETWORK_POLICY_SOURCES="exact")
        uid = await hooks.borrowed(lab, {"prepare": {"command": ["/home"]}})
        await hooks.succeed(lab, await hooks.started(lab, uid, "prepare"))
        await lab.until(PODS, f"i-{uid}", bool)
        opened = await lab.get(POLICIES, f"i-{uid}")
        assert "198.51.100.7/32" in str(opened["spec"]["ingress"]), "the pod is made once its holder is let in"
        await asyncio.to_thread(operators.stop_all)


async def test_types_and_access_rules_count_before_their_watches_tell_of_them(
    lab: Lab, operators: Operators, tmp_path: Path
) -> None:
    async with gateway(operators.kubeconfig) as between:
        between.silent = lambda _method, path: path.endswith(("/workspacetypes", "/accessrules"))
        operators.start(KUBECONFIG=str(between.kubeconfig(operators.kubeconfig, tmp_path / "deaf.kubeconfig")), **CI)
        await lab.deployment("one")
        await lab.type()
        name = await lab.claimed("one")
        known = await lab.until(INSTANCES, name, lambda o: {"epoch", "reason"} & (o.get("status") or {}).keys())
        assert "reason" not in known["status"]
        await project(lab)
        uid = await build(lab, "two")
        await started(lab, uid, "fetch")
        await lab.type("other", access="closed")
        await lab.deployment("shut", "other")
        rule = {"deployment": "shut", "user": "ada", "capability": "CAP_INSTANTIATE", "ruleID": 1}
        await lab.create(ACCESS_RULES, "shut-1", rule)
        await found(lab, uid, workspace="other")
        known = await lab.until(BUILDS, "two", lambda o: {"instance", "reason"} & (o.get("status") or {}).keys())
        assert "reason" not in known["status"]
        await asyncio.to_thread(operators.stop_all)
