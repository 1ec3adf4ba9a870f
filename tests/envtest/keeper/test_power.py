"""A holder switches power over HTTP: API, operator and keeper as processes, and a relay that listens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from berth_cli.admin.keys import material
from berth_core.keys import webhooks
from berth_dev.envtest.apiserver import ApiServer

from ..api import process as api_process
from ..api.conftest import user_client
from ..api.signing import Signer, write_keys
from ..operator.hooks import JOBS, RESET, end, has_ended, reads, started, succeed
from ..operator.lab import RELAYS, Lab
from ..operator.process import Operators
from .bench import borrowed, lent, relay, relay_name
from .process import Keepers
from .relay import Relay

pytestmark = pytest.mark.apiserver


@asynccontextmanager
async def client_of(lab: Lab, server: ApiServer, folder: Path, user: str = "ada") -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API process, with a token of a user's."""
    signer = Signer()
    write_keys(folder / "jwks.json", signer)
    (folder / "public-key").write_text(webhooks.public_key(material.new_webhook_keys()["ed25519.pem"]))
    kubeconfig = api_process.restricted_kubeconfig(server, lab.namespaces, folder)
    settings = api_process.environment(kubeconfig, lab.namespaces, folder / "jwks.json")
    running = api_process.running(settings, folder / "api.log")
    async with api_process.in_thread(running) as api, user_client(api, signer.token(user)) as client:
        yield client


async def test_a_holder_has_power_while_the_lease_lasts_and_none_of_it_after(
    lab: Lab, apiserver: ApiServer, operators: Operators, keepers: Keepers, pdu: Relay, tmp_path: Path
) -> None:
    keepers.start()
    operators.start()
    await lent(lab, pdu)
    first = f"/addon/power/{await borrowed(lab, 'first')}"
    async with client_of(lab, apiserver, tmp_path) as http:
        answer = await http.post(first, json={"do": "off"})
        assert (answer.status_code, answer.json()["done"], pdu.power) == (200, True, "off")
        answer = await http.post(first, json={"do": "cycle"})
        assert (answer.status_code, pdu.heard, pdu.power) == (200, ["off", "cycle"], "on")
        assert "hunter2" not in answer.text
        await end(lab, "first")
        await has_ended(lab, "first", seconds=20)
        assert (pdu.heard, pdu.power) == (["off", "cycle", "off"], "off")
        assert (await http.post(first, json={"do": "on"})).status_code == 400
        assert (await http.get(first)).status_code == 404
        second = f"/addon/power/{await borrowed(lab, 'second')}"
        assert (await http.get(second)).json() == {"status": "active"}
        assert (await http.post(second, json={"do": "on"})).status_code == 200
        assert pdu.heard == ["off", "cycle", "off", "on"]


async def test_an_order_that_goes_on_at_the_end_is_over_before_the_hooks_and_the_last_word_is_the_owner_s(
    lab: Lab, apiserver: ApiServer, operators: Operators, keepers: Keepers, pdu: Relay, tmp_path: Path
) -> None:
    keepers.start()
    operators.start()
    await lent(lab, pdu, hooks=RESET)
    uid = await borrowed(lab, "first")
    async with client_of(lab, apiserver, tmp_path) as http:
        pdu.status = 0
        ordering = asyncio.ensure_future(http.post(f"/addon/power/{uid}", json={"do": "cycle"}))
        await pdu.until(lambda: pdu.heard)
        await end(lab, "first")
        await lab.until(RELAYS, relay_name(lab), lambda o: o["spec"]["request"]["do"] == "nothing", seconds=20)
        assert await lab.absent(JOBS, f"i-{uid}-e1-reset"), "the relay may still switch"
        pdu.status = 200
        pdu.released.set()
        assert (await ordering).status_code == 202
        job = await started(lab, uid, "reset", seconds=20)
        assert pdu.heard == ["cycle"]
        await succeed(lab, job)
        await has_ended(lab, "first", seconds=20)
        await reads(lab, "Free")
        assert (pdu.heard, pdu.power) == (["cycle", "off"], "off")


async def test_without_a_deed_for_the_end_a_pending_order_ends_with_its_lease(
    lab: Lab, apiserver: ApiServer, operators: Operators, keepers: Keepers, pdu: Relay, tmp_path: Path
) -> None:
    keepers.start()
    operators.start()
    await lent(lab, pdu, None)
    uid = await borrowed(lab, "first")
    async with client_of(lab, apiserver, tmp_path) as http:
        await lab.until(RELAYS, relay_name(lab), lambda o: bool(o.get("status")), seconds=20)
        pdu.status = 500
        assert (await http.post(f"/addon/power/{uid}", json={"do": "off"})).status_code == 202
        await end(lab, "first")
        await has_ended(lab, "first", seconds=45)
        tries = len(pdu.heard)
        pdu.status = 200
        await borrowed(lab, "second")
        closed = (await relay(lab)).spec.request
        assert closed is not None
        assert (closed.do, closed.end, closed.epoch) == ("nothing", False, 1)
        assert (len(pdu.heard), pdu.power) == (tries, "on"), "nobody switches the next holder's machine"
