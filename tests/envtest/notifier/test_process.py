"""Webhooks by a real process: signed, tried again, given up, and never sent where they must not go."""

import asyncio
import base64
import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from berth_core.keys import webhooks
from berth_core.kube.model import parse_time, timestamp
from berth_core.resources import Delivery

from .post import DELIVERIES, SECONDS, Got, Post, receiving, shown
from .process import Notifiers

pytestmark = pytest.mark.apiserver


def is_delivered(delivery: Delivery) -> bool:
    return (shown(delivery, "Delivered") or ("", ""))[0] == "True"


def is_over(delivery: Delivery) -> bool:
    return is_delivered(delivery) or (shown(delivery, "GivenUp") or ("", ""))[0] == "True"


def has_failed(delivery: Delivery) -> bool:
    return (shown(delivery, "Delivered") or ("", ""))[0] == "False"


def verify(got: Got, keys: Path, user: str) -> None:
    """Verify both signatures: the user's with the public library, ours with the public key."""
    secret = webhooks.user_secret((keys / "master").read_bytes(), user)
    assert Webhook(secret).verify(got.body, got.headers) == json.loads(got.body)
    raw = base64.b64decode(webhooks.public_key((keys / "ed25519.pem").read_bytes()).removeprefix("whpk_"))
    (ours,) = [word[4:] for word in got.headers["webhook-signature"].split(" ") if word.startswith("v1a,")]
    signed = f"{got.id}.{got.headers['webhook-timestamp']}.".encode() + got.body
    Ed25519PublicKey.from_public_bytes(raw).verify(base64.b64decode(ours), signed)


async def test_it_is_sent_signed_and_its_state_is_on_the_resource(post: Post, notifiers: Notifiers, keys: Path) -> None:
    notifiers.start()
    async with receiving() as receiver:
        await post.make("before", receiver.url)
        done = await post.until("before", is_delivered)
        await post.make("while-it-runs", receiver.url, user="bob")
        await post.until("while-it-runs", is_delivered)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{notifiers.ports[0]}") as http:
        assert [(await http.get(path)).status_code for path in ("/healthz", "/readyz")] == [200, 200]
        assert 'berth_notifier_attempts_total{reason="Delivered"} 2.0' in (await http.get("/metrics")).text
    assert (done.status.attempts, done.status.next_attempt) == (1, None)
    assert shown(done, "Delivered") == ("True", "Delivered")
    first, second = receiver.got
    assert first.id == "msg_before"
    assert first.body.decode() == '{"ü":1}'
    verify(first, keys, "alice")
    verify(second, keys, "bob")
    with pytest.raises(WebhookVerificationError):
        Webhook(webhooks.user_secret((keys / "master").read_bytes(), "alice")).verify(second.body, second.headers)


async def test_pauses_and_counts_outlast_the_process(post: Post, notifiers: Notifiers, keys: Path) -> None:
    process = notifiers.start()
    # With the pause of its own, a few seconds, the notifier might try again before it is killed.
    async with receiving(500, 500, 204, first_pause=3600) as receiver:
        await post.make("mine", receiver.url)
        failed = await post.until("mine", has_failed)
        assert (failed.status.attempts, shown(failed, "Delivered")) == (1, ("False", "Refused"))
        assert timedelta(minutes=59) <= _pause(failed) <= timedelta(minutes=61)
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.wait)
        notifiers.serving.clear()
        notifiers.start()
        await notifiers.ready()
        due = datetime.now(UTC) + timedelta(seconds=5)
        await post.patch_status("mine", {"nextAttempt": timestamp(due)})
        again = await post.until("mine", lambda d: d.status.attempts == 2 and d.status.next_attempt is not None)
        assert parse_time(again.status.last_attempt or "") >= due
        again = await post.until("mine", lambda d: d.status.attempts == 2 and _pause(d) > timedelta(minutes=2))
        assert timedelta(minutes=4) <= _pause(again) <= timedelta(minutes=5, seconds=30)
        # A change of nextAttempt in the status shortens the wait, as for a receiver that is back.
        await post.patch_status("mine", {"nextAttempt": timestamp(datetime.now(UTC))})
        done = await post.until("mine", is_delivered)
    assert done.status.attempts == 3
    assert [(got.id, got.body) for got in receiver.got] == [("msg_mine", receiver.got[0].body)] * 3
    for got in receiver.got:
        verify(got, keys, "alice")


def _pause(delivery: Delivery) -> timedelta:
    status = delivery.status
    return parse_time(status.next_attempt or status.last_attempt or "") - parse_time(status.last_attempt or "")


async def test_an_attempt_that_a_kill_ended_counts_and_is_made_again_under_the_same_id(
    post: Post, notifiers: Notifiers
) -> None:
    process = notifiers.start()
    async with receiving(0, 204) as receiver:
        await post.make("mine", receiver.url)
        async with asyncio.timeout(SECONDS):
            await receiver.arrived.wait()
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.wait)
        left = await post.get("mine")
        assert (left.status.attempts, shown(left, "Delivered")) == (1, None)
        # Nobody else sends while that attempt may still be under way.
        assert timedelta(seconds=25) < _pause(left) <= timedelta(seconds=31)
        notifiers.start()
        await post.patch_status("mine", {"nextAttempt": timestamp(datetime.now(UTC))})
        done = await post.until("mine", is_delivered)
    assert done.status.attempts == 2
    assert {got.id for got in receiver.got} == {"msg_mine"}


async def test_two_replicas_send_each_once(post: Post, notifiers: Notifiers) -> None:
    notifiers.start()
    notifiers.start()
    await notifiers.ready()
    async with receiving() as receiver:
        names = [f"d-{number}" for number in range(24)]
        for name in names:
            await post.make(name, receiver.url)
        done = [await post.until(name, is_delivered) for name in names]
    assert {delivery.status.attempts for delivery in done} == {1}
    assert sorted(got.id for got in receiver.got) == sorted(f"msg_{name}" for name in names)


async def test_410_stops_it_and_a_redirect_leads_nowhere(post: Post, notifiers: Notifiers) -> None:
    notifiers.start()
    async with (
        receiving() as elsewhere,
        receiving(410) as gone,
        receiving(307, location=elsewhere.url) as moved,
    ):
        await post.make("gone", gone.url)
        await post.make("moved", moved.url)
        ended = await post.until("gone", is_over)
        failed = await post.until("moved", has_failed)
    assert (shown(ended, "GivenUp"), shown(ended, "Delivered")) == (("True", "Gone"), ("False", "Gone"))
    assert (ended.status.attempts, ended.status.next_attempt) == (1, None)
    assert shown(failed, "Delivered") == ("False", "Refused")
    assert shown(failed, "GivenUp") is None
    assert elsewhere.got == []


async def test_private_addresses_are_refused_unless_the_list_has_them(post: Post, notifiers: Notifiers) -> None:
    notifiers.start(allowed="10.1.2.0/24")
    async with receiving() as receiver:
        await post.make("address", receiver.url)
        await post.make("number", f"http://2130706433:{receiver.port}/hook")
        refused = await post.until("address", has_failed)
        given_up = await post.until("number", is_over)
        assert shown(refused, "Delivered") == ("False", "AddressRefused")
        assert "loopback" in refused.status.conditions[0].message
        assert shown(given_up, "GivenUp") == ("True", "UrlRefused")
        assert receiver.got == []
        notifiers.stop_all()
        # Else it waits for minutes, where the second attempt was made before the stop.
        await post.patch_status("address", {"nextAttempt": timestamp(datetime.now(UTC))})
        notifiers.start(allowed="127.0.0.0/8")
        await post.until("address", is_delivered)
    assert len(receiver.got) == 1


async def test_what_is_over_for_long_is_deleted_and_nothing_else(post: Post, notifiers: Notifiers) -> None:
    await post.make("old", "http://127.0.0.1:1024/hook")
    long_ago = timestamp(datetime.now(UTC) - timedelta(days=8))
    condition = {"type": "Delivered", "status": "True", "reason": "Delivered", "message": "it was"}
    await post.patch_status("old", {"attempts": 1, "conditions": [condition | {"lastTransitionTime": long_ago}]})
    async with receiving() as receiver:
        await post.make("new", receiver.url)
        notifiers.start()
        await post.until("new", is_delivered)
        await post.until_gone("old")
    left, _ = await post.client.list(DELIVERIES, post.namespace)
    assert [obj["metadata"]["name"] for obj in left] == ["new"]


async def test_without_keys_it_does_not_start(notifiers: Notifiers, tmp_path: Path) -> None:
    process = notifiers.start(BERTH_WEBHOOK_KEYS=str(tmp_path / "none"))
    assert await asyncio.to_thread(process.wait, 30) == 1
    assert "ed25519.pem" in notifiers.log(0).read_text()
