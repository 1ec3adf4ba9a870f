"""Contract §5, "Reservations": the public key of webhooks is at `/.well-known/berth-webhook-key`."""

import httpx
import pytest

from berth_cli.admin.keys import material
from berth_core.keys import webhooks

from .conftest import TIMEOUT, Setting
from .process import Api

pytestmark = pytest.mark.apiserver

PATH = "/.well-known/berth-webhook-key"


async def test_anybody_may_ask_for_the_key_and_a_new_one_counts_at_once(
    setting: Setting, http: httpx.AsyncClient
) -> None:
    published = setting.jwks.with_name("public-key")
    for _ in range(2):
        answer = await http.get(PATH)
        assert (answer.status_code, answer.json()) == (200, {"key": published.read_text()})
        published.write_text(webhooks.public_key(material.new_webhook_keys()["ed25519.pem"]))


async def test_where_there_is_no_key_it_says_so(setting: Setting, http: httpx.AsyncClient) -> None:
    published = setting.jwks.with_name("public-key")
    hidden = published.rename(published.with_name("hidden"))
    missing = await http.get(PATH)
    hidden.rename(published)
    assert (missing.status_code, missing.json()) == (404, {"error_message": "no key of webhooks is published"})


async def test_it_is_there_while_the_cluster_is_away(setting: Setting, away: Api) -> None:
    async with httpx.AsyncClient(base_url=away.url, timeout=TIMEOUT) as client:
        answer = await client.get(PATH)
    assert (answer.status_code, answer.json()) == (200, {"key": setting.jwks.with_name("public-key").read_text()})
