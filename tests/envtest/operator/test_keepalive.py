"""Instances that end when nobody pings for them, and what has expired. A minute passes once for all of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from promised import promised

from berth_core.kube.connection import connect
from berth_core.kube.errors import AlreadyExistsError, UnavailableError
from berth_core.kube.model import parse_time, timestamp
from berth_core.kube.types import Kind, Object
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import make_namespaces
from berth_operator.leadership.availability import Steadiness
from berth_operator.leadership.leading import Leadership

from .conftest import lab_in
from .lab import BERTH, INSTANCES, LEASES, PODS, SECRETS, Lab, condition
from .process import Operators, restricted_kubeconfig

pytestmark = pytest.mark.apiserver

ISSUED = Kind(BERTH, "issuedtokens")
REVOCATIONS = Kind(BERTH, "tokenrevocations")
GHOST = "01900000-0000-7000-8000-0000000000ff"
INTERVAL = timedelta(seconds=60)
PAST, FUTURE = datetime.now(UTC) - timedelta(minutes=5), datetime.now(UTC) + timedelta(days=1)


async def ready_for_long(lab: Lab, name: str, **spec: object) -> str:
    """An Instance with a deployment of its own that became ready ten minutes ago; its public id."""
    await lab.deployment(f"for-{name}")
    await lab.instance(name, deployments=[f"for-{name}"], **spec)
    made = await lab.until(INSTANCES, name, lambda o: condition(o, "Bound", "status") == "True")
    since = timestamp(datetime.now(UTC) - timedelta(minutes=10))
    await lab.status_patch(INSTANCES, name, {"readyTime": since})
    return str(made["metadata"]["uid"])


async def api_pod(lab: Lab, ready_since: datetime | None) -> None:
    """A pod of the API process, as the chart labels it."""
    where = lab.namespaces.release
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await lab.client.create(Kind("v1", "serviceaccounts"), where, account)
    labels = {"app.kubernetes.io/name": "berth", "app.kubernetes.io/component": "api"}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "berth-api-0", "labels": labels},
        "spec": {"containers": [{"name": "api", "image": "berth.invalid/berth:test"}]},
    }
    await lab.client.create(PODS, where, body)
    # The word of a kubelet, which this tier has none of.
    shown = {"type": "Ready", "status": "True" if ready_since else "False"}
    shown["lastTransitionTime"] = timestamp((ready_since or datetime.now(UTC)).replace(microsecond=0))
    status: Object = {"status": {"conditions": [shown]}}
    await lab.client.patch(PODS, where, "berth-api-0", status, subresource="status")


async def ping(lab: Lab, instance_id: str) -> None:
    """Renew the Lease as the API process does for POST /instance/:id/ka."""
    name = f"i-{instance_id}"
    spec = {"renewTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")}
    body: Object = {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": {"name": name}, "spec": spec}
    try:
        await lab.client.create(LEASES, lab.namespace, body)
    except AlreadyExistsError:
        await lab.client.patch(LEASES, lab.namespace, name, {"spec": spec})


@contextlib.asynccontextmanager
async def pinging(lab: Lab, instance_id: str) -> AsyncIterator[None]:
    """A client that pings three times a minute."""
    over = asyncio.Event()

    async def go_on() -> None:
        while not over.is_set():
            await ping(lab, instance_id)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 20)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        over.set()
        await task


async def expiring(lab: Lab, name: str, expires: datetime) -> None:
    """A TokenRevocation, an IssuedToken and a record of an Idempotency-Key that expire then."""
    where, digest = lab.namespaces.access, name * 32
    revoked: Object = {"sha256": digest, "user": "ada", "expires": timestamp(expires)}
    issued: Object = revoked | {"issued": timestamp(PAST)}
    for kind, word, spec in ((REVOCATIONS, "TokenRevocation", revoked), (ISSUED, "IssuedToken", issued)):
        body: Object = {"apiVersion": BERTH, "kind": word, "metadata": {"name": digest}, "spec": spec}
        await lab.client.create(kind, where, body)
    labels = {"berth.dev/idempotency": name, "app.kubernetes.io/managed-by": "berth", "berth.dev/instance": GHOST}
    metadata = {"name": f"record-{name}", "labels": labels, "annotations": {"berth.dev/expires": timestamp(expires)}}
    await lab.client.create(SECRETS, where, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata})


async def what_has_expired_goes(lab: Lab) -> None:
    where = lab.namespaces.access
    await lab.until_gone(REVOCATIONS, "0a" * 32, seconds=30, namespace=where)
    await lab.until_gone(ISSUED, "0a" * 32, namespace=where)
    await lab.until_gone(SECRETS, "record-0a", namespace=where)


async def the_rest_stays(lab: Lab) -> None:
    """Secrets without an expiry too, and records of an instance that is gone or was never made."""
    where = lab.namespaces.access
    for kind, name in (
        (REVOCATIONS, "0b" * 32),
        (ISSUED, "0b" * 32),
        (SECRETS, "record-0b"),
        (SECRETS, "password"),
        (SECRETS, "odd"),
    ):
        assert not await lab.absent(kind, name, where), f"{kind.plural}/{name} is gone"


async def alive(lab: Lab, name: str) -> bool:
    return "reason" not in (await lab.get(INSTANCES, name))["status"]


@pytest.mark.release(twin="tests/unit/operator/instances/test_keepalive.py")
async def test_silence_ends_what_must_be_pinged_and_what_has_expired_is_deleted(
    lab: Lab, operators: Operators, apiserver: ApiServer, tmp_path: Path
) -> None:
    await expiring(lab, "0a", PAST)
    await expiring(lab, "0b", FUTURE)
    for name, annotations in (("password", {}), ("odd", {"berth.dev/expires": "tomorrow"})):
        secret: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "annotations": annotations}}
        await lab.client.create(SECRETS, lab.namespaces.access, secret)
    operators.start()
    await what_has_expired_goes(lab)
    await lab.type()
    deaf_namespaces = make_namespaces(apiserver)
    (tmp_path / "deaf").mkdir()
    kubeconfig = restricted_kubeconfig(apiserver, deaf_namespaces, tmp_path / "deaf")
    others = Operators(kubeconfig, deaf_namespaces, tmp_path / "deaf")
    try:
        async with lab_in(apiserver, deaf_namespaces) as deaf:
            others.start()
            await deaf.type()
            await api_pod(deaf, None)
            await ready_for_long(deaf, "unheard", keepAlive=True)
            await a_minute(lab, operators.folder / "operator-0.log")
            assert await alive(deaf, "unheard"), "while no pod of the API is ready nobody can ping"
    finally:
        others.stop_all()
    await the_rest_stays(lab)


async def a_minute(lab: Lab, log: Path) -> None:
    await ready_for_long(lab, "silent", keepAlive=True)
    await ready_for_long(lab, "careless")
    await lab.deployment("for-starting")
    await lab.instance("starting", deployments=["for-starting"], keepAlive=True)
    kept = await ready_for_long(lab, "kept", keepAlive=True)
    # After all else from which the time could be counted.
    answering = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=8)
    await api_pod(lab, answering)
    async with pinging(lab, kept):
        ended = await lab.until(INSTANCES, "silent", lambda o: o["status"].get("reason"), seconds=150)
    now = datetime.now(UTC)
    assert ended["status"]["reason"] == "KeepAliveLost"
    quiet = parse_time(ended["status"]["message"].removeprefix("no keep-alive ping came for 60 s after "))
    if quiet != answering:
        assert quiet > answering, "the time is counted since the API can be heard"
        assert "cannot renew the leader's lease" in await asyncio.to_thread(log.read_text), (
            "nothing else begins the minute anew"
        )
    assert INTERVAL <= now - quiet <= INTERVAL + timedelta(seconds=promised(10))
    assert [await alive(lab, name) for name in ("kept", "careless", "starting")] == [True, True, True]
    await lab.client.patch(INSTANCES, lab.namespace, "kept", {"spec": {"terminate": True}})
    await lab.until_gone(LEASES, f"i-{kept}")
    await lab.until(INSTANCES, "silent", lambda o: condition(o, "Ended", "status") == "True")


async def test_a_break_of_the_cluster_s_api_is_noticed_by_who_leads(lab: Lab, apiserver: ApiServer) -> None:
    asked: asyncio.Queue[datetime] = asyncio.Queue()
    away = False

    def ask() -> None:
        asked.put_nowait(datetime.now(UTC))
        if away:
            raise UnavailableError("away")

    async def work() -> None:
        await asyncio.Event().wait()

    steadiness = Steadiness()
    leadership = Leadership(lab.namespaces.release, "one", steadiness)
    async with await connect("berth-test", str(apiserver.kubeconfig), before_write=ask) as client:
        task = asyncio.create_task(leadership.run(client, work))
        try:
            async with asyncio.timeout(60):
                for _ in range(3):
                    await asked.get()
                while steadiness.since is None:  # a renewal that took too long is a break too
                    await asked.get()
                first = steadiness.since
                away = True
                lost = await asked.get()
                away = False
                for _ in range(2):
                    await asked.get()
                while steadiness.since is None:
                    await asked.get()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert first is not None
    assert first < lost
    assert steadiness.since is not None
    assert steadiness.since > lost
