"""Invariants of leases and instances: status writes that are refused to everybody."""

from typing import Any

import pytest

from berth_core.kube.client import Client
from berth_core.kube.errors import InvalidError
from berth_core.kube.types import Object
from berth_core.resources import Instance, Reservation, WorkspaceDeployment

from .objects import create, patch

ALICE = {"instance": "i-1", "user": "alice", "claimedAt": "2026-05-01T00:00:00Z"}
BOB = {"instance": "i-2", "user": "bob", "claimedAt": "2026-05-02T00:00:00Z"}


async def deployment(client: Client, namespace: str, *statuses: dict[str, Any]) -> Object:
    """A deployment that went through these statuses."""
    made = await create(client, namespace, WorkspaceDeployment)
    for status in statuses:
        made = await patch(client, made, WorkspaceDeployment, {"status": status}, status=True)
    return made


HELD = {"lease": ALICE, "epoch": 1}
FREE_AGAIN = {"lease": None, "instances": 1}

REFUSED: list[tuple[list[dict[str, Any]], Any, str]] = [
    ([], {"lease": ALICE}, "taking the lease adds exactly one to status.epoch"),
    ([], {"lease": ALICE, "epoch": 0}, "taking the lease adds exactly one"),
    ([], {"lease": ALICE, "epoch": 2}, "taking the lease adds exactly one"),
    ([HELD], {"lease": BOB}, "a lease passes to another holder only after it was given back"),
    ([HELD], {"lease": BOB, "epoch": 2}, "a lease passes to another holder only after"),
    ([HELD], {"lease": {"user": "bob"}}, "a lease passes to another holder only after"),
    ([HELD], {"epoch": 2}, "status.epoch stays while the lease is held, and when it"),
    ([HELD], {"lease": None, "epoch": 2}, "status.epoch stays while the lease is held, and when it"),
    ([HELD], {"lease": None, "epoch": 0}, "status.epoch never shrinks"),
    ([HELD, FREE_AGAIN], {"lease": BOB, "epoch": 1}, "taking the lease adds exactly one"),
    ([HELD, FREE_AGAIN, {"epoch": 9}], {"lease": BOB, "epoch": 9}, "taking the lease adds exactly one"),
    ([HELD, FREE_AGAIN, {"epoch": 9}], {"epoch": 8}, "status.epoch never shrinks"),
    ([HELD, FREE_AGAIN], {"epoch": None}, "status.epoch never shrinks"),
    ([HELD, FREE_AGAIN], None, "status.epoch never shrinks"),
]


@pytest.mark.parametrize(("history", "status", "message"), REFUSED)
async def test_a_lease_is_held_by_one_and_counted(
    client: Client, namespace: str, history: list[dict[str, Any]], status: Any, message: str
) -> None:
    made = await deployment(client, namespace, *history)
    with pytest.raises(InvalidError, match=message):
        await patch(client, made, WorkspaceDeployment, {"status": status}, status=True)


POWER = {"name": "power", "kind": "relay", "secret": "pdu-a"}
RESTING = {"addons": [POWER | {"onLeaseEnd": "off"}, POWER | {"name": "lamp"}]}
ON_END = [{"name": "power", "secret": "pdu-a", "do": "off"}]


async def test_a_lease_is_taken_with_what_its_end_takes_and_given_back_by_a_process_that_knows(
    client: Client, namespace: str
) -> None:
    made = await create(client, namespace, WorkspaceDeployment, machine=RESTING)

    async def written(status: Any) -> None:
        await patch(client, made, WorkspaceDeployment, {"status": status}, status=True)

    for owed in (None, [], [ON_END[0] | {"do": "on"}], [ON_END[0] | {"secret": "x"}], [ON_END[0] | {"name": "lamp"}]):
        with pytest.raises(InvalidError, match="is taken with what its end takes"):
            await written({"lease": ALICE | ({"onEnd": owed} if owed is not None else {}), "epoch": 1})
    await written({"lease": ALICE | {"onEnd": ON_END}, "epoch": 1})
    for given in ({"lease": None}, {"lease": None, "settled": 0}, {"lease": None, "settled": 2}, None):
        with pytest.raises(InvalidError, match=r"onEnd is given back by|never shrinks"):
            await written(given)
    with pytest.raises(InvalidError, match="passes to another holder only after"):
        await written({"lease": {"onEnd": None}})
    await patch(client, made, WorkspaceDeployment, {"spec": {"machine": None}})
    with pytest.raises(InvalidError, match="onEnd is given back by"):
        await written({"lease": None})
    await written({"lease": None, "settled": 1})


async def test_take_and_give_back_again_and_again(client: Client, namespace: str) -> None:
    made = await deployment(client, namespace, HELD, FREE_AGAIN, {"lease": BOB, "epoch": 2}, {"lease": None})
    assert made["status"]["epoch"] == 2
    assert "lease" not in made["status"]


async def test_a_restore_begins_higher_while_nobody_has_it(client: Client, namespace: str) -> None:
    made = await deployment(client, namespace, {"epoch": 9}, {"lease": BOB, "epoch": 10})
    assert made["status"]["epoch"] == 10


async def test_the_spec_of_a_leased_deployment_can_change(client: Client, namespace: str) -> None:
    made = await deployment(client, namespace, HELD)
    changed = await patch(client, made, WorkspaceDeployment, {"spec": {"lockout": True}})
    assert changed["status"]["lease"] == ALICE


async def test_who_may_write_the_spec_only_cannot_touch_the_lease(client: Client, namespace: str) -> None:
    made = await deployment(client, namespace, HELD)
    unchanged = await patch(client, made, WorkspaceDeployment, {"status": {"lease": None, "epoch": 0}})
    assert unchanged["status"]["lease"] == ALICE


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"addresses": ["192.0.2.40"]}, "CIDR notation"),
        ({"addresses": ["192.0.2.40/24"]}, "without bits behind the prefix"),
        ({"addresses": ["192.0.0.0/23"]}, "the largest is a /24"),
        ({"addresses": ["2001:db8::/63"]}, "of IPv6 a /64"),
        ({"addresses": ["robot.example"]}, "CIDR notation"),
        ({"addresses": ["fe80::1%eth0/128"]}, "CIDR notation"),
        ({"addresses": []}, "addresses"),
        ({"addresses": [f"192.0.2.{last}/32" for last in range(17)]}, "addresses"),
        ({"addresses": ["192.0.2.40/32"], "ports": [{"port": 22, "endPort": 21}]}, "endPort"),
        ({"addresses": ["192.0.2.40/32"], "ports": [{"port": 0}]}, "port"),
        ({"addresses": ["192.0.2.40/32"], "ports": [{"protocol": "SCTP", "port": 1}]}, "protocol"),
    ],
)
async def test_a_machine_has_literal_networks_and_ports(
    client: Client, namespace: str, network: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidError, match=message):
        await create(client, namespace, WorkspaceDeployment, machine={"network": network})


async def test_the_machine_of_a_lease_is_written_once(client: Client, namespace: str) -> None:
    arm, other = ({"network": {"addresses": [f"192.0.2.{last}/32"]}} for last in (40, 41))
    made = await create(client, namespace, Instance)
    await patch(client, made, Instance, {"status": {"epoch": 3, "machine": arm}}, status=True)
    for later in (other, None, {"network": {"addresses": ["192.0.2.40/32"], "ports": [{"port": 22}]}}):
        with pytest.raises(InvalidError, match=r"status\.machine is set with status\.epoch, and stays"):
            await patch(client, made, Instance, {"status": {"machine": later}}, status=True)
    without = await create(client, namespace, Instance)
    await patch(client, without, Instance, {"status": {"epoch": 3}}, status=True)
    with pytest.raises(InvalidError, match=r"status\.machine is set with status\.epoch"):
        await patch(client, without, Instance, {"status": {"machine": arm}}, status=True)


UNUSED = {"deployment": "wd-1", "epoch": 3}
ENDED = {"epoch": 3, "endTime": "2026-05-01T00:00:00Z", "reason": "Terminated"}


@pytest.mark.parametrize(
    ("before", "status", "message"),
    [
        ({"epoch": 3}, {"epoch": 4}, "status.epoch is set once"),
        ({"epoch": 3}, {"epoch": None}, "status.epoch is set once"),
        ({"epoch": 3}, None, "status cannot be removed"),
        ({"returned": UNUSED}, {"returned": None}, "status.returned is never removed"),
        ({"returned": UNUSED}, UNUSED, "goes back, and is never used"),
        (UNUSED, {"returned": UNUSED}, "goes back, and is never used"),
        (ENDED, None, "status cannot be removed"),
        (ENDED, {"endTime": None}, "an ended Instance stays ended"),
        (ENDED, {"endTime": "2026-05-02T00:00:00Z"}, "an ended Instance stays ended"),
    ],
)
async def test_an_instance_has_one_epoch_and_one_end(
    client: Client, namespace: str, before: dict[str, Any], status: Any, message: str
) -> None:
    made = await create(client, namespace, Instance)
    await patch(client, made, Instance, {"status": before}, status=True)
    with pytest.raises(InvalidError, match=message):
        await patch(client, made, Instance, {"status": status}, status=True)


@pytest.mark.parametrize("kind", [Instance, Reservation])
async def test_one_whose_lease_went_back_can_have_a_later_one(
    client: Client, namespace: str, kind: type[Instance | Reservation]
) -> None:
    made = await create(client, namespace, kind)
    await patch(client, made, kind, {"status": {"returned": UNUSED}}, status=True)
    later = UNUSED | {"epoch": 4}
    used = {"grant": later | {"instance": "i-1"}} if kind is Reservation else later
    await patch(client, made, kind, {"status": {"returned": UNUSED | {"deployment": "wd-2"}} | used}, status=True)


async def test_a_reservation_is_never_granted_a_lease_that_goes_back(client: Client, namespace: str) -> None:
    made = await create(client, namespace, Reservation)
    await patch(client, made, Reservation, {"status": {"returned": UNUSED}}, status=True)
    with pytest.raises(InvalidError, match="goes back, and is never used"):
        await patch(client, made, Reservation, {"status": {"grant": UNUSED | {"instance": "i-1"}}}, status=True)


async def test_deployments_are_found_by_holder_type_and_id(client: Client, namespace: str) -> None:
    made = await deployment(client, namespace, HELD, {"id": "one"})
    await create(client, namespace, WorkspaceDeployment, type="other")
    for field, value in {
        "spec.type": "misty",
        "status.id": "one",
        "status.lease.instance": "i-1",
        "status.lease.user": "alice",
    }.items():
        found, _ = await client.list(WorkspaceDeployment.api(), namespace, fields={field: value})
        assert [obj["metadata"]["name"] for obj in found] == [made["metadata"]["name"]], field
