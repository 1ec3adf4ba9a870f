"""A watch that begins, or begins anew, after something has vanished tells nothing of that; the operator finds out."""

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from berth_core import names

from ..api.gateway import Gateway, gateway, serving
from . import hooks
from .builds import CI, build, found, is_over, pod_of, project, started
from .lab import ACCESS_RULES, BUILDS, DEPLOYMENTS, INSTANCES, PODS, POLICIES, SERVICES, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver

PORTS = {"ports": [{"port": 22}]}


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


@pytest.mark.release(
    twin="tests/envtest/operator/test_relist.py::test_types_and_access_rules_count_before_their_watches_tell_of_them"
)
async def test_a_pod_that_went_before_its_watch_began_holds_nothing_up(
    lab: Lab, operators: Operators, tmp_path: Path
) -> None:
    first = operators.start(**CI)
    await project(lab)
    uid = await build(lab, "one")
    pod = await pod_of(lab, await started(lab, uid, "fetch"))
    first.send_signal(signal.SIGTERM)
    await asyncio.to_thread(first.wait, 60)
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


class WithoutDevices(Gateway):
    """A cluster whose administrator has turned Dynamic Resource Allocation off."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/apis/resource.k8s.io"):
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            return web.json_response(status, status=404)
        return await super().handle(request)


async def test_a_cluster_without_resource_claims_lends_machines_that_need_none(
    lab: Lab, operators: Operators, tmp_path: Path
) -> None:
    async with serving(operators.kubeconfig, WithoutDevices) as between:
        operators.start(KUBECONFIG=str(between.kubeconfig(operators.kubeconfig, tmp_path / "old.kubeconfig")))
        await lab.type()
        await lab.deployment("one")
        devices = [{"name": "arm", "deviceClassName": "arms"}]
        await lab.create(DEPLOYMENTS, "two", {"type": "bench", "machine": {"devices": devices}})
        await lab.until(DEPLOYMENTS, "two", lambda o: condition(o, "Online") == "DeviceAwaited")
        name = await lab.instance("ada", deployments=["one"])
        await lab.until(INSTANCES, name, lambda o: condition(o, "Bound", "status") == "True")
        await lab.client.patch(INSTANCES, lab.namespace, name, {"spec": {"terminate": True}})
        await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True")
        orphan = {"metadata": {"name": "i-gone", "labels": names.lease_labels("gone", 1, "one")}, "spec": PORTS}
        await lab.client.create(SERVICES, lab.namespace, orphan)
        await lab.until_gone(SERVICES, "i-gone")
        await asyncio.to_thread(operators.stop_all)
