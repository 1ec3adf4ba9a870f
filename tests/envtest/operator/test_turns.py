"""Turns: a freed deployment goes at once to the first waiter who may have it, and to nobody else."""

import asyncio
import base64
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from promised import promised

from berth_core import ids
from berth_core.kube.errors import ConflictError, InvalidError
from berth_core.kube.types import Object
from berth_core.leases import leasing
from berth_core.leases.availability import Lease
from berth_dev.envtest.testing import looked_at
from berth_operator.deliveries import MOST

from .denying import deny
from .lab import (
    ACCESS_RULES,
    DELIVERIES,
    DEPLOYMENTS,
    INSTANCES,
    KEY,
    RESERVATIONS,
    SECRETS,
    Lab,
    condition,
    is_tombstone,
)
from .process import Operators

pytestmark = pytest.mark.apiserver


def is_fulfilled(obj: Object) -> bool:
    return condition(obj, "Fulfilled", "status") == "True"


def is_waiting(obj: Object) -> bool:
    return condition(obj, "Waiting", "status") == "True"


async def hold(lab: Lab, deployment: str, user: str = "holder") -> str:
    """Let a user have a deployment; return the name of the Instance."""
    name = f"has-{deployment}"
    await lab.instance(name, user=user, deployments=[deployment])
    await lab.until(INSTANCES, name, lambda o: condition(o, "Bound", "status") == "True", seconds=30)
    return name


async def free(lab: Lab, deployment: str) -> None:
    """Let the holder end it."""
    await lab.client.patch(INSTANCES, lab.namespace, f"has-{deployment}", {"spec": {"terminate": True}})


async def give(lab: Lab, reservation: Object, deployment: str, *, seconds_ago: float = 0) -> Lease:
    """Take the lease for a reservation as the operator does."""
    return await leasing.take(
        lab.client,
        lab.namespace,
        deployment,
        instance=ids.turn_instance(reservation["metadata"]["uid"]),
        user=reservation["spec"]["user"],
        now=datetime.now(UTC) - timedelta(seconds=seconds_ago),
    )


async def served(lab: Lab, name: str, *, seconds: float = 20) -> Object:
    """Wait for a reservation's turn; its grant."""
    found = await lab.until(RESERVATIONS, name, is_fulfilled, seconds=seconds)
    assert condition(found, "Waiting", "status") == "False"
    grant: Object = found["status"]["grant"]
    return grant


@pytest.mark.alone
@pytest.mark.usefixtures("operator")
async def test_what_is_freed_goes_to_the_first_within_a_second(lab: Lab) -> None:
    await lab.type()
    await lab.deployment("one")
    await hold(lab, "one")
    wish = {"requesterAddress": "198.51.100.7", "expireAfter": 600, "keepAlive": True}
    made = await lab.reservation("first", "bob", workspaceType="bench", wish=wish)
    await lab.reservation("second", "carol", workspaceType="bench")
    for name in ("first", "second"):
        await lab.until(RESERVATIONS, name, is_waiting)
    _, version = await lab.client.list(DEPLOYMENTS, lab.namespace)
    await free(lab, "one")
    freed = 0.0
    async with asyncio.timeout(20):
        async for event in lab.client.watch(DEPLOYMENTS, lab.namespace, version):
            lease = (event.object.get("status") or {}).get("lease")
            if lease is None:
                freed = time.monotonic()
            elif lease["user"] != "holder":
                break
    assert lease is not None
    assert time.monotonic() - freed < promised(1)
    assert lease["user"] == "bob"
    grant = await served(lab, "first")
    assert grant == {"deployment": "one", "epoch": 2, "instance": ids.turn_instance(made["metadata"]["uid"])}
    assert lease["instance"] == grant["instance"]
    instance = await lab.until(INSTANCES, grant["instance"], lambda o: condition(o, "Bound", "status") == "True")
    spec = instance["spec"]
    assert (spec["user"], spec["sshKeys"], spec["claim"]) == ("bob", [KEY], {"deployment": "one", "epoch": 2})
    assert wish.items() <= spec.items()
    assert is_waiting(await lab.get(RESERVATIONS, "second"))


@pytest.mark.usefixtures("operator")
async def test_a_key_is_made_for_who_brought_none(lab: Lab) -> None:
    await lab.type()
    await lab.deployment("one")
    await lab.reservation("mine", workspaceType="bench", wish={"sshKeys": []})
    grant = await served(lab, "mine")
    (public,) = (await lab.get(INSTANCES, grant["instance"]))["spec"]["sshKeys"]
    secret = await lab.get(SECRETS, f"i-{grant['instance']}", lab.namespaces.access)
    private = base64.b64decode(secret["data"]["id_rsa"])
    assert private.startswith(b"-----BEGIN RSA PRIVATE KEY-----\n")
    key = load_pem_private_key(private, None).public_key()
    assert key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() == public


@pytest.mark.release(twin="tests/unit/core/test_queue.py")
@pytest.mark.usefixtures("operator")
async def test_priority_then_age_whatever_they_wait_with_and_are_named(lab: Lab) -> None:
    """Names are of replicas whose clocks are wrong; who came in one second is told apart by versions."""
    await lab.type()
    await lab.deployment("one")
    await hold(lab, "one")
    now = int(datetime.now(UTC).timestamp() * 1000)
    first, second, last = (ids.uuid7(now + offset) for offset in (3_600_000, 3000, -3000))
    await lab.reservation(first, first, workspaceType="bench")
    await lab.instance("by-kubectl", user="by-kubectl", workspaceType="bench")
    for name in (second, last):
        await lab.reservation(name, name, workspaceType="bench")
    await lab.reservation("urgent", "urgent", workspaceType="bench", priority=1)
    for kind, name in ((RESERVATIONS, first), (INSTANCES, "by-kubectl"), (RESERVATIONS, last)):
        queued = (await lab.until(kind, name, lambda o: "queued" in (o.get("status") or {})))["status"]["queued"]
        for back in ({"version": queued["version"] - 1}, {"since": "2026-01-01T00:00:00Z"}):
            with pytest.raises(InvalidError, match="only move it back"):
                await lab.status_patch(kind, name, {"queued": queued | back})
        with pytest.raises(InvalidError, match="only move it back"):
            await lab.status_patch(kind, name, {"queued": None})
    await free(lab, "one")
    for epoch, user in enumerate(("urgent", first, "by-kubectl", second, last), start=2):

        def is_next(obj: Object, epoch: int = epoch) -> bool:
            return obj["status"]["epoch"] == epoch and "lease" in obj["status"]

        held = await lab.until(DEPLOYMENTS, "one", is_next, seconds=20)
        assert held["status"]["lease"]["user"] == user
        name = user if user == "by-kubectl" else held["status"]["lease"]["instance"]
        await lab.until(INSTANCES, name, lambda o: condition(o, "Bound", "status") == "True", seconds=20)
        await lab.client.patch(INSTANCES, lab.namespace, name, {"spec": {"terminate": True}})


@pytest.mark.usefixtures("operator")
async def test_a_reservation_is_met_by_the_first_that_frees_of_what_it_waits_for(lab: Lab) -> None:
    await lab.type()
    for name in ("one", "two", "three"):
        await lab.deployment(name)
        await hold(lab, name)
    await lab.reservation("for-the-type", workspaceType="bench")
    await lab.until(RESERVATIONS, "for-the-type", is_waiting)
    await lab.reservation("for-a-list", deployments=["one", "three"])
    await lab.until(RESERVATIONS, "for-a-list", is_waiting)
    await free(lab, "two")
    assert (await served(lab, "for-the-type"))["deployment"] == "two"
    assert is_waiting(await lab.get(RESERVATIONS, "for-a-list"))
    await free(lab, "three")
    assert (await served(lab, "for-a-list"))["deployment"] == "three"
    assert (await lab.lease("one") or {})["user"] == "holder"


@pytest.mark.usefixtures("operator")
async def test_what_appears_is_unlocked_or_comes_online_wakes_the_queue(lab: Lab) -> None:
    await lab.type()
    await lab.reservation("appears", deployments=["new"])
    await lab.until(RESERVATIONS, "appears", is_waiting, seconds=30)
    await lab.deployment("locked", lockout=False)
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "locked", {"spec": {"lockout": True}})
    await lab.until(DEPLOYMENTS, "locked", lambda o: condition(o, "Available") == "Lockout")
    await lab.create(DEPLOYMENTS, "silent", {"type": "bench", "heartbeat": "node"})
    await lab.until(DEPLOYMENTS, "silent", lambda o: condition(o, "Available") == "Offline")
    await lab.reservation("unlocked", deployments=["locked"])
    await lab.reservation("online", deployments=["silent"])
    await lab.create(DEPLOYMENTS, "new", {"type": "bench"})
    assert (await served(lab, "appears"))["deployment"] == "new"
    assert is_waiting(await lab.until(RESERVATIONS, "unlocked", is_waiting))
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "locked", {"spec": {"lockout": False}})
    assert (await served(lab, "unlocked"))["deployment"] == "locked"
    assert is_waiting(await lab.until(RESERVATIONS, "online", is_waiting))
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "silent", {"spec": {"heartbeat": "none"}})
    assert (await served(lab, "online"))["deployment"] == "silent"


@pytest.mark.usefixtures("operator")
async def test_who_may_not_have_it_keeps_nobody_waiting_until_a_rule_lets_him(lab: Lab) -> None:
    await lab.type(access="closed")
    await lab.deployment("one", owners=["owner"])
    await lab.reservation("stranger", "stranger", workspaceType="bench")
    await lab.instance("stranger-too", user="stranger", workspaceType="bench")
    waits = await lab.until(INSTANCES, "stranger-too", lambda o: condition(o, "Bound") == "Waiting")
    assert "do not let stranger have one" in str(condition(waits, "Bound", "message"))
    await lab.until(RESERVATIONS, "stranger", is_waiting)
    await lab.reservation("owners", "owner", workspaceType="bench")
    grant = await served(lab, "owners")
    assert is_waiting(await lab.get(RESERVATIONS, "stranger"))
    rule = {"deployment": "one", "user": "stranger", "capability": "CAP_INSTANTIATE", "ruleID": 1}
    await lab.client.patch(INSTANCES, lab.namespace, grant["instance"], {"spec": {"terminate": True}})
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")
    await lab.create(ACCESS_RULES, "one-1", rule)
    assert (await served(lab, "stranger"))["epoch"] == 2
    # A superuser is bound by no rule; only who acts for others can say that somebody is one.
    await lab.deployment("two")
    await lab.reservation("root", "root", deployments=["two"], superuser=True)
    assert (await served(lab, "root"))["deployment"] == "two"


@pytest.mark.usefixtures("operator")
async def test_what_the_cluster_refuses_is_said_and_keeps_nobody_waiting(lab: Lab) -> None:
    await lab.type()
    await lab.deployment("one")
    await hold(lab, "one")
    await lab.reservation("broken", workspaceType="bench", wish={"requesterAddress": "nonsense"})
    await lab.until(RESERVATIONS, "broken", is_waiting)
    await lab.reservation("sound", deployments=["one"])
    await free(lab, "one")
    refused = await lab.until(
        RESERVATIONS, "broken", lambda o: condition(o, "Fulfilled") == "InstanceRefused", seconds=20
    )
    assert "takes an IP address" in str(condition(refused, "Fulfilled", "message"))
    assert (await served(lab, "sound"))["epoch"] == 3


async def test_who_gave_a_url_is_told_once_without_anything_secret(lab: Lab, operators: Operators) -> None:
    await lab.type()
    await lab.create(DEPLOYMENTS, "one", {"type": "bench"})
    operators.start()
    made = await lab.reservation(
        "mine", "bob", workspaceType="bench", eventUrl="https://example.org/x", wish={"sshKeys": []}
    )
    grant = await served(lab, "mine")
    (told,), _ = await lab.client.list(DELIVERIES, lab.namespace)
    uid = made["metadata"]["uid"]
    assert told["metadata"]["name"] == f"turn-{uid}"
    assert told["metadata"].get("ownerReferences") is None, "it is sent though the reservation is deleted"
    payload = json.loads(told["spec"].pop("payload"))
    assert told["spec"] == {
        "form": "webhook",
        "sequence": 0,
        "url": "https://example.org/x",
        "id": f"msg_{uid}",
        "user": "bob",
        "reservation": uid,
        "instance": grant["instance"],
    }
    assert payload["type"] == "reservation.fulfilled"
    assert payload["data"] == {
        "reservation": uid,
        "instance": grant["instance"],
        "deployment": ids.deployment_id(lab.namespace, "one"),
    }
    assert condition(await lab.get(RESERVATIONS, "mine"), "Notified", "status") == "True"
    # Deleted by the notifier when it is old, it is not made again, by no later operator either.
    await lab.client.delete(DELIVERIES, lab.namespace, told["metadata"]["name"])
    operators.stop_all()
    operators.start()
    await lab.client.patch(RESERVATIONS, lab.namespace, "mine", {"metadata": {"labels": {"seen": "again"}}})
    await lab.client.patch(INSTANCES, lab.namespace, grant["instance"], {"spec": {"terminate": True}})
    await lab.reservation("silent", workspaceType="bench")
    await served(lab, "silent")
    assert (await lab.client.list(DELIVERIES, lab.namespace))[0] == []


@pytest.mark.usefixtures("operator")
async def test_a_webhook_that_the_cluster_refuses_holds_up_no_turn(lab: Lab) -> None:
    await lab.type()
    await lab.deployment("one")
    wish = {"url": "https://example.org/", "payload": "{}", "id": "x", "user": "x", "reservation": "x", "instance": "x"}

    async def probe(number: int) -> None:
        await lab.create(DELIVERIES, f"probe-{number}", wish)

    await deny(lab, DELIVERIES, "CREATE", "no webhooks here", probe)
    await lab.reservation("mine", workspaceType="bench", eventUrl="https://example.org/")
    await served(lab, "mine")
    found = await lab.get(RESERVATIONS, "mine")
    assert condition(found, "Notified") == "DeliveryRefused"
    assert "no webhooks here" in str(condition(found, "Notified", "message"))


@pytest.mark.release(
    twin="tests/envtest/operator/test_turns.py::test_a_webhook_that_the_cluster_refuses_holds_up_no_turn"
)
@pytest.mark.usefixtures("operator")
async def test_whoever_has_too_many_webhooks_gets_turns_without_them(lab: Lab) -> None:
    await lab.type()
    await lab.deployment("one")
    spec = {"url": "https://example.org/x", "payload": "{}", "user": "bob"}
    for start in range(0, MOST, 100):
        made = (lab.create(DELIVERIES, f"d-{n}", spec | {"id": f"msg_{n}"}) for n in range(start, start + 100))
        await asyncio.gather(*made)
    await lab.reservation("mine", user="bob", workspaceType="bench", eventUrl="https://example.org/")
    await served(lab, "mine")
    found = await lab.until(RESERVATIONS, "mine", lambda o: condition(o, "Notified"))
    assert condition(found, "Notified") == "DeliveryRefused"
    assert f"bob has {MOST} Deliveries already" in str(condition(found, "Notified", "message"))


async def test_a_turn_that_had_begun_goes_on_however_old_its_lease_is(lab: Lab, operators: Operators) -> None:
    """The rule that gives back leases without an Instance leaves those alone that a turn will use."""
    await lab.type()
    await looked_at(lab.client, await lab.create(DEPLOYMENTS, "one", {"type": "bench"}))
    made = await lab.reservation("mine", workspaceType="bench")
    await give(lab, made, "one", seconds_ago=120)
    operators.start()
    assert (await served(lab, "mine"))["epoch"] == 1


@pytest.mark.release(twin="tests/unit/operator/leases/test_orphan.py::test_only_a_name_that_berth_drew_may_come_late")
async def test_a_lease_for_what_was_given_up_goes_back(lab: Lab, operators: Operators) -> None:
    await lab.type()
    await looked_at(lab.client, await lab.create(DEPLOYMENTS, "one", {"type": "bench"}))
    given_up = await lab.reservation("given-up", workspaceType="bench")
    await give(lab, given_up, "one")
    await lab.client.delete(RESERVATIONS, lab.namespace, "given-up")
    await lab.reservation("next", "bob", workspaceType="bench")
    operators.start()
    assert (await served(lab, "next", seconds=60))["epoch"] == 2
    assert [obj["spec"]["user"] for obj in await made_for_use(lab)] == ["bob"]


@pytest.mark.release(
    twin="tests/unit/operator/leases/test_orphan.py::test_a_lease_is_held_by_who_lives_and_has_no_other_deployment"
)
async def test_a_second_lease_for_the_same_turn_goes_back_and_harms_nothing(lab: Lab, operators: Operators) -> None:
    """A process that was stopped in the middle of a write may write after another has taken over."""
    await lab.type()
    await lab.create(DEPLOYMENTS, "one", {"type": "bench"})
    operators.start()
    made = await lab.reservation("mine", workspaceType="bench")
    grant = await served(lab, "mine")
    assert grant["deployment"] == "one"
    bound = await lab.until(INSTANCES, grant["instance"], lambda o: condition(o, "Bound", "status") == "True")
    await lab.deployment("two")
    await give(lab, made, "two")
    await lab.until(DEPLOYMENTS, "two", lambda o: "lease" not in o["status"], seconds=45)
    assert (await lab.lease("one") or {})["instance"] == grant["instance"]
    live = await lab.get(INSTANCES, grant["instance"])
    assert live["status"].get("reason") is None
    assert live["status"]["deployment"] == bound["status"]["deployment"] == "one"


@pytest.mark.usefixtures("operator")
async def test_of_a_turn_and_a_cancel_at_once_exactly_one_happens(lab: Lab) -> None:
    await lab.type()
    await lab.deployment("one")
    came = 0
    for number in range(10):
        made = await lab.reservation(f"r-{number}", workspaceType="bench")
        given_up = await give_up(lab, f"r-{number}")
        if not given_up:
            came += 1
            grant = await served(lab, f"r-{number}")
            assert grant["instance"] == ids.turn_instance(made["metadata"]["uid"])
            await lab.client.patch(INSTANCES, lab.namespace, grant["instance"], {"spec": {"terminate": True}})
        await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free", seconds=20)
    assert len(await made_for_use(lab)) == came


async def made_for_use(lab: Lab) -> list[Object]:
    """Instances that are no tombstones."""
    instances, _ = await lab.client.list(INSTANCES, lab.namespace)
    return [obj for obj in instances if not is_tombstone(obj)]


async def give_up(lab: Lab, name: str) -> bool:
    """Give up a reservation as the API does; False where its turn has come."""
    while True:
        live = await lab.get(RESERVATIONS, name)
        if "grant" in (live.get("status") or {}):
            return False
        try:
            version = live["metadata"]["resourceVersion"]
            await lab.client.delete(RESERVATIONS, lab.namespace, name, resource_version=version)
        except ConflictError:
            continue
        return True
