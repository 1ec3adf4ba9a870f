"""Statuses of commits by a real process over TLS: each provider's form, tokens that stay, the last one last."""

import asyncio
import base64
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from berth_core.kube.model import timestamp
from berth_core.kube.types import Kind, Object
from berth_core.resources import Build, Delivery, Project
from berth_dev.cluster.pki import Authority
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces
from berth_operator.builds.manifests.commit_status import commit_status

from .post import DELIVERIES, Got, Post, Receiver, receiving, shown
from .process import Notifiers, restricted_kubeconfig

pytestmark = pytest.mark.apiserver

SECRETS = Kind("v1", "secrets")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "token-0123456789"
DELIVERED = ("True", "Delivered")


@dataclass(frozen=True)
class Tls:
    """Certificate of the receivers, and the authority by which the notifier verifies it."""

    context: ssl.SSLContext
    authority: Path


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    authority = Authority(tmp_path_factory.mktemp("receivers"))
    pair = authority.server("receiver", hosts=["127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    return Tls(context, authority.pair.certificate)


@pytest.fixture
def notifiers(
    apiserver: ApiServer, namespaces: Namespaces, keys: Path, tls: Tls, tmp_path: Path
) -> Iterator[Notifiers]:
    kubeconfig = restricted_kubeconfig(apiserver, namespaces, tmp_path, tokens=("hub", "gone"))
    made = Notifiers(kubeconfig, namespaces, keys, tmp_path)
    made.start(BERTH_STATUS_SECRETS="hub,gone", BERTH_WEBHOOK_CA_FILE=str(tls.authority))
    yield made
    logs = "".join(made.log(number).read_text() for number in range(len(made.running)))
    assert TOKEN not in logs
    made.stop_all()


async def allow(post: Post, namespaces: Namespaces, url: str, name: str = "hub") -> None:
    """Make a Secret whose token may be sent to URLs that begin so."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in (("token", TOKEN), ("url", url))}
    body: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
    await post.client.create(SECRETS, namespaces.release, body)


def told(receiver: Receiver, uid: str, status: dict[str, Any], provider: str = "github", named: str = "hub") -> Object:
    """The Delivery that the operator makes."""
    url = receiver.url + "/repos/lab/arm/statuses/{sha}"
    spec = {"name": "arm", "user": "alice", "repoURL": "https://git.example.org/arm.git"}
    wanted = {"commitStatus": {"statusURL": url, "provider": provider, "secret": named}}
    project = Project.parse({"metadata": {"name": "p-1", "namespace": "lab", "uid": "p"}, "spec": spec | wanted})
    build = Build.parse(
        {
            "metadata": {"name": "mine", "namespace": "set below", "uid": uid},
            "spec": {"project": "p", "user": "alice", "branch": "main"},
            "status": {"attempt": 1, "commit": COMMIT} | status,
        }
    )
    made = commit_status(build, project)
    assert made is not None
    return made


async def make(post: Post, body: Object) -> str:
    """Make a Delivery in the test's namespace; its name."""
    name: str = body["metadata"]["name"]
    body["metadata"]["namespace"] = post.namespace
    await post.client.create(DELIVERIES, post.namespace, body)
    return name


def is_over(delivery: Delivery) -> bool:
    return any(c.type in ("Delivered", "GivenUp") and c.status == "True" for c in delivery.status.conditions)


PASSED: dict[str, Any] = {"reason": "Passed"}
FORMS = {
    "github": (
        {
            "authorization": f"Bearer {TOKEN}",
            "accept": "application/vnd.github+json",
            "x-github-api-version": "2022-11-28",
        },
        {"state": "success", "context": "berth/lab/p-1", "description": "The build passed"},
    ),
    "gitlab": (
        {"private-token": TOKEN},
        {"state": "success", "name": "berth/lab/p-1", "description": "The build passed", "ref": "main"},
    ),
    "gitea": (
        {"authorization": f"token {TOKEN}"},
        {"state": "success", "context": "berth/lab/p-1", "description": "The build passed"},
    ),
}


@pytest.mark.usefixtures("notifiers")
async def test_each_provider_gets_what_it_documents(post: Post, namespaces: Namespaces, tls: Tls) -> None:
    async with receiving(201, tls=tls.context) as receiver:
        await allow(post, namespaces, receiver.url + "/repos/lab")
        for uid, (provider, (headers, payload)) in enumerate(FORMS.items()):
            done = await post.until(await make(post, told(receiver, f"u{uid}", PASSED, provider)), is_over)
            assert shown(done, "Delivered") == DELIVERED
            got = receiver.got[-1]
            assert got.path == f"/hook/repos/lab/arm/statuses/{COMMIT}"
            assert got.headers["content-type"] == "application/json"
            assert {name: got.headers.get(name) for name in headers} == headers
            assert not got.headers.keys() & {"webhook-id", "webhook-signature", "cookie"}
            assert json.loads(got.body) == payload
            assert TOKEN not in json.dumps(done.model_dump())


@pytest.mark.usefixtures("notifiers")
async def test_a_token_goes_only_to_where_its_secret_says(post: Post, namespaces: Namespaces, tls: Tls) -> None:
    async with receiving(201, tls=tls.context) as mine, receiving(201, tls=tls.context) as others:
        await allow(post, namespaces, mine.url + "/repos/lab")
        await allow(post, namespaces, others.url, name="unlisted")
        for uid, receiver, secret in (("a", others, "hub"), ("b", others, "unlisted"), ("c", others, "gone")):
            name = await make(post, told(receiver, uid, PASSED, named=secret))
            refused = await post.until(name, lambda d: shown(d, "Delivered") == ("False", "TokenRefused"))
            assert secret in refused.status.conditions[0].message
        assert others.got == []


@pytest.mark.usefixtures("notifiers")
async def test_a_redirect_is_not_followed_and_what_is_never_taken_is_given_up(
    post: Post, namespaces: Namespaces, tls: Tls
) -> None:
    async with (
        receiving(201, tls=tls.context) as elsewhere,
        receiving(307, 422, location=elsewhere.url, tls=tls.context) as moved,
    ):
        await allow(post, namespaces, moved.url)
        name = await make(post, told(moved, "m", PASSED))
        await post.until(name, lambda d: shown(d, "Delivered") == ("False", "Refused"))
        await post.patch_status(name, {"nextAttempt": timestamp(datetime.now(UTC))})
        ended = await post.until(name, is_over)
        assert (shown(ended, "GivenUp"), ended.status.attempts) == (("True", "Refused"), 2)
        assert elsewhere.got == []


async def test_what_was_told_last_arrives_last(
    post: Post, namespaces: Namespaces, notifiers: Notifiers, tls: Tls
) -> None:
    await notifiers.ready()
    # With the pause of its own, a few seconds, the notifier might try again before it is stopped.
    async with receiving(503, 201, first_pause=3600, tls=tls.context) as receiver:
        await allow(post, namespaces, receiver.url)
        first = await make(post, told(receiver, "x", {}))
        await post.until(first, lambda d: shown(d, "Delivered") == ("False", "Refused"))
        notifiers.stop_all()  # or one of them might send what runs before what passed is there
        running = await make(post, told(receiver, "x", {"startTime": "2026-01-01T00:00:00Z"}))
        last = await make(post, told(receiver, "x", PASSED))
        for _ in range(2):
            notifiers.start(BERTH_STATUS_SECRETS="hub", BERTH_WEBHOOK_CA_FILE=str(tls.authority))
        await notifiers.ready()
        done = await post.until(last, is_over)
        assert shown(done, "Delivered") == DELIVERED
        for name in (first, running):
            given_up = await post.until(name, is_over)
            assert shown(given_up, "GivenUp") == ("True", "Superseded")
        # One that is made late is not sent at all.
        await post.client.delete(DELIVERIES, post.namespace, running)
        late = await make(post, told(receiver, "x", {"startTime": "2026-01-01T00:00:00Z"}))
        assert shown(await post.until(late, is_over), "GivenUp") == ("True", "Superseded")
    assert [_state(got) for got in receiver.got] == ["pending", "success"]


async def test_all_are_told_in_order_where_the_receiver_takes_them(
    post: Post, namespaces: Namespaces, notifiers: Notifiers, tls: Tls
) -> None:
    await notifiers.ready()
    async with receiving(201, tls=tls.context) as receiver:
        await allow(post, namespaces, receiver.url)
        started = {"startTime": "2026-01-01T00:00:00Z"}
        for status in ({}, started, started | PASSED):
            name = await make(post, told(receiver, "y", status, "gitlab"))
            assert shown(await post.until(name, is_over), "Delivered") == DELIVERED
        many = [f"z{number}" for number in range(8)]
        made = [await make(post, told(receiver, uid, status)) for uid in many for status in ({}, started, PASSED)]
        async with asyncio.timeout(60):
            for name in made:
                await post.until(name, is_over)
    assert [_state(got) for got in receiver.got[:3]] == ["pending", "running", "success"]
    assert sum(_state(got) == "success" for got in receiver.got[3:]) == len(many)


def _state(got: Got) -> str:
    state: str = json.loads(got.body)["state"]
    return state
