"""The operator is killed right after each of its writes in turn; the next one finishes what was begun."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from berth_core import ids
from berth_core.client import Kind, Object

from .lab import (
    DELIVERIES,
    DEPLOYMENTS,
    INSTANCES,
    LEASES,
    PODS,
    POLICIES,
    RESERVATIONS,
    RULES,
    SECRETS,
    SERVICES,
    Lab,
    condition,
)
from .process import Operators

pytestmark = pytest.mark.apiserver

CHILDREN = (PODS, SERVICES, SECRETS, POLICIES)
Happens = Callable[[str, Object], bool]


def made(event: str, _obj: Object) -> bool:
    return event == "ADDED"


def deleted(event: str, _obj: Object) -> bool:
    return event == "DELETED"


def is_bound(_event: str, obj: Object) -> bool:
    return condition(obj, "Bound", "status") == "True"


LAUNCH: list[tuple[str, Kind, Happens]] = [
    ("the lease is taken", DEPLOYMENTS, lambda _, o: "lease" in o["status"]),
    ("the finalizer is set", INSTANCES, lambda _, o: "berth.dev/fence" in (o["metadata"].get("finalizers") or ())),
    ("the first rule is made", RULES, made),
    ("a Secret is made", SECRETS, made),
    ("the policy is made", POLICIES, made),
    ("the pod is made", PODS, made),
    ("the status says bound", INSTANCES, is_bound),
]
TEAR_DOWN: list[tuple[str, Kind, Happens]] = [
    ("the reason is written", INSTANCES, lambda _, o: "reason" in o["status"]),
    ("the Service is deleted", SERVICES, deleted),
    ("a Secret is deleted", SECRETS, deleted),
    ("the pod is to be deleted", PODS, lambda _, o: "deletionTimestamp" in o["metadata"]),
    ("the pod is gone", PODS, deleted),
    ("the policy is deleted", POLICIES, deleted),
    ("the lease is given back", DEPLOYMENTS, lambda _, o: "lease" not in o["status"]),
]
TURN: list[tuple[str, Kind, Happens]] = [
    ("it says that it waits", RESERVATIONS, lambda _, o: condition(o, "Waiting", "status") == "True"),
    ("the lease is taken", DEPLOYMENTS, lambda _, o: "lease" in o["status"]),
    ("the grant is written", RESERVATIONS, lambda _, o: "grant" in (o.get("status") or {})),
    ("the key pair is made", SECRETS, made),
    ("the Instance is made", INSTANCES, made),
    ("the Delivery is made", DELIVERIES, made),
    ("it says that it is fulfilled", RESERVATIONS, lambda _, o: condition(o, "Fulfilled", "status") == "True"),
]


async def kill_when(
    lab: Lab, operators: Operators, kind: Kind, happens: Happens, act: Awaitable[object], namespace: str = ""
) -> None:
    """Do something, kill the operator at the first event of that sort, and start another."""
    where = namespace or lab.namespace
    _, version = await lab.client.list(kind, where)
    watching = lab.client.watch(kind, where, version)
    acting = asyncio.ensure_future(act)
    async with asyncio.timeout(15):
        async for event in watching:
            if event.type != "BOOKMARK" and happens(event.type, event.object):
                break
    process = operators.running[-1]
    process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(process.wait)
    await acting
    # The process is surely dead, so nobody need wait for its lease to run out.
    await lab.client.delete(LEASES, lab.namespaces.release, "berth-operator")
    operators.start()


async def nothing_left(lab: Lab, public_id: str) -> None:
    for kind in CHILDREN:
        left, _ = await lab.client.list(kind, lab.namespace, labels={"berth.dev/instance": public_id})
        assert left == [], f"{kind.plural} are left"


async def end(lab: Lab, name: str) -> None:
    await lab.client.patch(INSTANCES, lab.namespace, name, {"spec": {"terminate": True}})


async def test_a_launch_goes_on_after_a_kill_at_any_write(lab: Lab, operators: Operators) -> None:
    operators.start()
    await lab.type()
    await lab.deployment("one")
    for number, (_, kind, happens) in enumerate(LAUNCH):
        name = f"launch-{number}"
        ask = lab.instance(name, workspaceType="bench", requesterAddress="198.51.100.7")
        await kill_when(lab, operators, kind, happens, ask)
        bound = await lab.until(INSTANCES, name, lambda o: is_bound("", o), seconds=20)
        public_id = bound["metadata"]["uid"]
        pod = await lab.until(PODS, f"i-{public_id}", bool)
        assert bound["status"]["epoch"] == number + 1
        secret = await lab.get(SECRETS, f"i-{public_id}-e{number + 1}")
        assert pod["metadata"]["labels"]["berth.dev/epoch"] == secret["metadata"]["labels"]["berth.dev/epoch"]
        rules, _ = await lab.client.list(RULES, lab.namespace, fields={"spec.instance": public_id})
        assert len(rules) == 1
        await end(lab, name)
        await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True", seconds=20)
        await nothing_left(lab, public_id)


async def test_an_end_goes_on_after_a_kill_at_any_write(lab: Lab, operators: Operators) -> None:
    operators.start()
    await lab.type()
    await lab.deployment("one")
    for number, (_, kind, happens) in enumerate(TEAR_DOWN):
        name = f"end-{number}"
        await lab.instance(name, workspaceType="bench", requesterAddress="198.51.100.7")
        bound = await lab.until(INSTANCES, name, lambda o: is_bound("", o), seconds=20)
        public_id = bound["metadata"]["uid"]
        await lab.until(PODS, f"i-{public_id}", bool)
        await kill_when(lab, operators, kind, happens, end(lab, name))
        await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True", seconds=20)
        await nothing_left(lab, public_id)
        wd = await lab.get(DEPLOYMENTS, "one")
        assert "lease" not in wd["status"]
        assert wd["status"]["epoch"] == number + 1


async def test_a_turn_goes_on_after_a_kill_at_any_write(lab: Lab, operators: Operators) -> None:
    operators.start()
    await lab.type()
    await lab.deployment("one")
    for number, (what, kind, happens) in enumerate(TURN):
        name = f"turn-{number}"
        ask = lab.reservation(name, workspaceType="bench", eventUrl="https://example.org/", wish={"sshKeys": []})
        where = lab.namespaces.access if what == "the key pair is made" else lab.namespace
        await kill_when(lab, operators, kind, happens, ask, where)
        done = await lab.until(RESERVATIONS, name, lambda o: condition(o, "Fulfilled", "status") == "True", seconds=20)
        public_id = ids.turn_instance(done["metadata"]["uid"])
        grant = {"deployment": "one", "epoch": number + 1, "instance": public_id}
        assert done["status"]["grant"] == grant
        assert condition(done, "Notified", "status") == "True"
        bound = await lab.until(INSTANCES, public_id, lambda o: is_bound("", o), seconds=20)
        assert bound["spec"]["claim"] == {"deployment": "one", "epoch": number + 1}
        secret = await lab.get(SECRETS, f"i-{public_id}", lab.namespaces.access)
        assert [secret["metadata"]["annotations"]["berth.dev/public-key"]] == bound["spec"]["sshKeys"]
        living, _ = await lab.client.list(INSTANCES, lab.namespace)
        assert len(living) == number + 1, "each turn made one instance"
        told, _ = await lab.client.list(DELIVERIES, lab.namespace)
        assert len(told) == number + 1, "each turn is told once"
        await end(lab, public_id)
        await lab.until(INSTANCES, public_id, lambda o: condition(o, "Ended", "status") == "True", seconds=20)
        await nothing_left(lab, public_id)
    assert (await lab.get(DEPLOYMENTS, "one"))["status"]["epoch"] == len(TURN)
