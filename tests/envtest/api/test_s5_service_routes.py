"""Contract §5, "Service routes": for operators of the process, and for readers of its description.

Routes without a limit are tested in test_s2_rate_limits.py, readiness without a cluster in test_s1_outages.py.
"""

import re

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from .conftest import TIMEOUT
from .process import Api

pytestmark = pytest.mark.apiserver

NOTHING = "00000000-0000-4000-8000-000000000000"


async def test_health_and_readiness_need_no_token(http: httpx.AsyncClient) -> None:
    for path, body in (("/healthz", '{"ended":[]}'), ("/readyz", '{"missing":[],"warnings":[]}')):
        answer = await http.get(path)
        assert (answer.status_code, answer.text) == (200, body)


async def test_metrics_are_for_prometheus_and_on_a_port_of_their_own(http: httpx.AsyncClient, api: Api) -> None:
    assert (await http.get(f"/queuelen/{NOTHING}")).status_code == 404
    assert (await http.get("/metrics")).json() == {"error_message": "unrecognized command"}
    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        answer = await client.get(api.metrics_url)
    assert answer.headers["Content-Type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    counted = {"method": "GET", "route": "/queuelen/{deployment_id:id}", "status": "404"}
    samples = {tuple(sorted(s.labels.items())): s.value for s in families["berth_api_requests"].samples}
    assert samples[tuple(sorted(counted.items()))] >= 1
    assert all(family.documentation for name, family in families.items() if name.startswith("berth_"))


async def test_no_series_is_named_by_what_clients_send(http: httpx.AsyncClient, api: Api) -> None:
    await http.get("/nowhere/at-all")
    await http.request("INVENTED", "/workspaces")
    await http.get("/deployments/a_type_of_nobody")
    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        text = (await client.get(api.metrics_url)).text
    assert not re.search("at-all|INVENTED|a_type_of_nobody", text)


async def test_the_document_and_its_page(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.")
    assert {"/deployments", "/new/{target}", "/instance/{instance_id}"} <= document["paths"].keys()
    page = await http.get("/docs")
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert "/openapi.json" in page.text
    assert "POST /new/{target}" in page.text


async def test_the_page_loads_nothing_and_runs_nothing(http: httpx.AsyncClient) -> None:
    page = await http.get("/docs")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert not re.search(r"<script|<link|<img|<style|\bsrc=|\bon\w+=|https?://", page.text)
