"""Two releases on one workspace namespace: the first leads there, the second says so and does nothing."""

import json
import urllib.request
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError

import pytest

from berth_core.kube.types import Kind
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces, make_namespaces

from .conftest import lab_in
from .lab import DEPLOYMENTS, Lab, condition
from .process import Operators, restricted_kubeconfig

pytestmark = pytest.mark.apiserver

CONFIG_MAPS = Kind("v1", "configmaps")


def readiness(port: int) -> tuple[int, str]:
    """Status and problem that a process answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return answer.status, json.loads(answer.read())["problem"]
    except HTTPError as refused:
        return refused.code, json.loads(refused.read())["problem"]


async def test_a_second_release_does_not_lead_where_another_does(
    lab: Lab, operators: Operators, apiserver: ApiServer, namespaces: Namespaces, tmp_path: Path
) -> None:
    operators.start()
    await lab.type()
    await lab.deployment("one")
    other = replace(make_namespaces(apiserver), workspaces=namespaces.workspaces)
    (tmp_path / "other").mkdir()
    async with lab_in(apiserver, other):
        second = Operators(restricted_kubeconfig(apiserver, other, tmp_path / "other"), other, tmp_path / "other")
        try:
            second.start()
            told = await lab.told("AnotherRelease", f"the release in namespace {namespaces.release} leads", seconds=30)
            assert told["reportingInstance"] == "operator-0"
            status, problem = readiness(second.ports[0])
            assert status == 503
            assert "kubectl delete configmap berth-release" in problem
            operators.stop_all()
            await lab.create(DEPLOYMENTS, "two", {"type": "bench"})
            await lab.client.delete(CONFIG_MAPS, lab.namespace, "berth-release")
            await lab.until(DEPLOYMENTS, "two", lambda o: condition(o, "Available") == "Free", seconds=30)
            assert readiness(second.ports[0]) == (200, "")
            claim = await lab.get(CONFIG_MAPS, "berth-release")
            assert claim["data"] == {"release": other.release}
        finally:
            second.stop_all()
