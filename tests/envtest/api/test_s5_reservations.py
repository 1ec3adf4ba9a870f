"""Contract §5, "reservations": places in the queue, from asking to giving up."""

import asyncio
from typing import Any

import httpx
import pytest

from berth_api.reservations.service import MOST_WAITING
from berth_core import ids, names
from berth_core.kube import errors as cluster
from berth_core.kube.types import Object
from berth_core.resources import Reservation, WorkspaceDeployment
from berth_dev.envtest.testing import vanished

from .conftest import made, user_client
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

SSHKEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"
NOTHING = "00000000-0000-4000-8000-000000000000"
MISSING = {"error_message": "reservation not found"}


async def reserve(client: httpx.AsyncClient, path: str, **options: Any) -> str:
    """Ask for a place in the queue; its id."""
    answer = await client.post(path, json={"reserve": True, **options})
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"success", "id"}
    assert answer.json()["success"] is False
    place: str = answer.json()["id"]
    return place


async def resource(world: World, place: str) -> Reservation:
    """The resource of a reservation that the API made."""
    return Reservation.parse(await world.client.get(Reservation.api(), world.namespaces.workspaces, place))


async def listed(client: httpx.AsyncClient, *places: str) -> list[dict[str, Any]]:
    """Some reservations as the list and the single objects show them, in the list's order."""
    shown = [r for r in (await client.get("/reservations")).json()["reservations"] if r["id"] in places]
    assert [(await client.get(f"/reservation/{r['id']}")).json() for r in shown] == shown
    return shown


async def grant(world: World, place: str) -> Object:
    """Let the reservation's turn come, in the operator's place."""
    body = {"status": {"grant": {"deployment": "some", "epoch": 1, "instance": NOTHING}}}
    kind, namespace = Reservation.api(), world.namespaces.workspaces
    return await world.client.patch(kind, namespace, place, body, subresource="status")


async def test_busy_and_reserve_makes_a_reservation_with_all_that_was_asked_for(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=1)
    await alice.post(f"/new/{kind}")
    options = {
        "sshkey": SSHKEY,
        "vpn": True,
        "keepalive": True,
        "expire_d": 600,
        "eurl": "HTTPS://example.test/turn?x=1",
        "repo": {"url": "https://example.test/x.git", "path": "x"},
    }
    answer = await bob.post(
        f"/new/{kind}", json={"reserve": True} | options, headers={"X-Forwarded-For": "203.0.113.9"}
    )
    assert answer.status_code == 200
    assert answer.json() == {"success": False, "id": answer.json()["id"]}
    made = await resource(world, answer.json()["id"])
    assert ids.is_uuid(made.metadata.name)
    assert made.metadata.name[14] == "7"
    assert made.metadata.labels[names.MANAGED_BY_LABEL] == names.MANAGED_BY
    assert (made.spec.user, made.spec.workspace_type, made.spec.deployments) == ("bob", kind, None)
    assert (made.spec.event_url, made.spec.priority) == ("https://example.test/turn?x=1", 0)
    wanted = made.spec.instance
    assert (wanted.user, wanted.ssh_keys, wanted.vpn, wanted.keep_alive) == ("bob", [SSHKEY], True, True)
    assert (wanted.expire_after, wanted.requester_address, wanted.claim) == (600, "203.0.113.9", None)
    assert wanted.repo is not None
    assert (wanted.repo.url, wanted.repo.path) == ("https://example.test/x.git", "x")


async def test_without_a_key_none_is_made_before_the_turn_comes(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    deployment = await world.deployment(await world.type())
    await alice.post(f"/new/{deployment}")
    place = await reserve(bob, f"/new/{deployment}")
    assert (await resource(world, place)).spec.instance.ssh_keys == []


async def test_a_free_deployment_is_had_at_once_and_without_reserve_busy_stays_503(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=1)
    made = (await alice.post(f"/new/{kind}", json={"reserve": True})).json()
    assert made["success"] is True
    answer = await bob.post(f"/new/{kind}", json={"reserve": False})
    assert answer.status_code == 503
    assert answer.json()["result_message"].startswith("All matching workspace deployments are busy")


async def test_a_description_says_what_it_waits_for(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type()
    first, second = [await world.deployment(kind) for _ in range(2)]
    for deployment in (first, second):
        await alice.post(f"/new/{deployment}")
    places = [
        await reserve(bob, f"/new/{kind}"),
        await reserve(bob, f"/new/{first}"),
        await reserve(bob, "/new", wds=[second, first, second]),
        await reserve(bob, "/new", wds=[second]),
    ]
    shown = await listed(bob, *places)
    assert [r["desc"] for r in shown] == [
        f"type {kind}",
        f"deployment {first}",
        f"deployments {second},{first}",
        f"deployment {second}",
    ]
    assert [r["id"] for r in shown] == places
    # The third waits behind two others for the first deployment; the fourth, behind the first and the third.
    assert [r["position"] for r in shown] == [1, 2, 3, 3]
    for r in shown:
        assert r.keys() == {"id", "created", "desc", "user", "position", "instance"}
        assert r["user"] == "bob"
        assert r["created"].endswith("Z")


async def test_an_eta_is_the_end_of_the_lease_that_is_left_for_one(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=1)
    held = await made(alice, kind)
    await world.make_ready(held)
    first, second = [await reserve(bob, f"/new/{kind}") for _ in range(2)]

    async def known() -> bool:
        return "eta" in (await bob.get(f"/reservation/{first}")).json()

    await eventually(known)
    shown = await listed(bob, first, second)
    end = (await alice.get(f"/instance/{held}")).json()["expires"]
    assert [r.get("eta") for r in shown] == [end, None]


async def test_a_queue_counts_those_that_wait_for_the_type_or_for_a_list(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type()
    one, two = [await world.deployment(kind) for _ in range(2)]
    for deployment in (one, two):
        await alice.post(f"/new/{deployment}")
    places = [await reserve(bob, path) for path in (f"/new/{kind}", f"/new/{one}")]
    places.append(await reserve(bob, "/new", wds=[one, two]))

    async def lengths(first: int, second: int) -> bool:
        found = [(await bob.get(f"/queuelen/{d}")).json() for d in (one, two)]
        return found == [{"id": one, "len": first}, {"id": two, "len": second}]

    await eventually(lambda: lengths(4, 3))
    await bob.delete(f"/reservation/{places[0]}")
    await eventually(lambda: lengths(3, 2))
    # Once its turn has come it waits no more.
    await grant(world, places[1])
    await eventually(lambda: lengths(2, 2))


async def test_only_for_what_the_rules_permit_and_what_takes_newcomers(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    kind = await world.type(access="closed")
    mine, other, locked = [
        await world.deployment(kind, owners=owners, lockout=lockout)
        for owners, lockout in ((["bob"], False), ([], False), (["bob"], True))
    ]
    for deployment in (mine, other):
        assert (await root.post(f"/new/{deployment}")).status_code == 200
    for path, status in ((f"/new/{other}", 403), (f"/new/{locked}", 400), (f"/new/{NOTHING}", 404)):
        assert (await bob.post(path, json={"reserve": True})).status_code == status
    assert (await alice.post(f"/new/{kind}", json={"reserve": True})).status_code == 403
    place = await reserve(bob, "/new", wds=[other, mine])
    assert [r["desc"] for r in await listed(bob, place)] == [f"deployment {mine}"]


async def test_limits_of_the_type_hold_for_those_who_wait_too(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=2, limits={"maxPerUser": 1, "maxExpireAfter": 100})
    for client in (alice, bob):
        assert (await client.post(f"/new/{kind}")).status_code == 200
    assert (await bob.post(f"/new/{kind}", json={"reserve": True})).status_code == 403
    assert (await bob.post(f"/new/{kind}", json={"reserve": True, "expire_d": 101})).status_code == 400


async def test_another_users_reservation_is_like_none(
    world: World, api: Api, signer: Signer, alice: httpx.AsyncClient, bob: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=1)
    await alice.post(f"/new/{kind}")
    place = await reserve(bob, f"/new/{kind}")
    assert await listed(alice, place) == []
    for method in ("GET", "DELETE"):
        for path in (f"/reservation/{place}", f"/reservation/{NOTHING}"):
            answer = await alice.request(method, path)
            assert (answer.status_code, answer.json()) == (404, MISSING)
    (mine,) = await listed(bob, place)
    assert await listed(root, place) == [mine]
    async with user_client(api, signer.token("bob", sc=["r"])) as reader:
        assert await listed(reader, place) == [mine]
        answer = await reader.delete(f"/reservation/{place}")
        assert (answer.status_code, answer.json()) == (400, {"error_message": "token scope does not permit change"})
    async with user_client(api, signer.token("bob", **{"in": NOTHING})) as limited:
        for method, path in (("GET", "/reservations"), ("GET", f"/reservation/{place}"), ("DELETE", "/reservations")):
            answer = await limited.request(method, path)
            assert answer.status_code == 400
    assert (await root.delete(f"/reservation/{place}")).status_code == 200
    assert await listed(bob, place) == []


@pytest.mark.parametrize("path", ["/reservation/1", "/reservation/%20", "/reservation/type_x", "/reservation/"])
async def test_a_malformed_id_is_no_command(bob: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "DELETE"):
        answer = await bob.request(method, path)
        assert (answer.status_code, answer.json()) == (400, {"error_message": "unrecognized command"})


async def test_a_place_is_given_up_once_and_for_all(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=1)
    await alice.post(f"/new/{kind}")
    first, second = [await reserve(bob, f"/new/{kind}") for _ in range(2)]
    answer = await bob.delete(f"/reservation/{first}")
    assert (answer.status_code, answer.content) == (200, b"")
    again = await bob.delete(f"/reservation/{first}")
    assert (again.status_code, again.json()) == (404, MISSING)
    assert [(r["id"], r["position"]) for r in await listed(bob, first, second)] == [(second, 1)]


async def test_once_the_turn_has_come_there_is_nothing_to_give_up(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=1)
    await alice.post(f"/new/{kind}")
    place = await reserve(bob, f"/new/{kind}")
    await grant(world, place)
    for method in ("GET", "DELETE"):
        answer = await bob.request(method, f"/reservation/{place}")
        assert (answer.status_code, answer.json()) == (404, MISSING)
    assert await listed(bob, place) == []
    assert (await resource(world, place)).status.grant is not None


async def test_of_a_turn_and_a_cancel_at_once_exactly_one_happens(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=1)
    await alice.post(f"/new/{kind}")
    for _ in range(12):
        place = await reserve(bob, f"/new/{kind}")
        granted, cancelled = await asyncio.gather(
            grant(world, place), bob.delete(f"/reservation/{place}"), return_exceptions=True
        )
        assert isinstance(cancelled, httpx.Response), cancelled
        if isinstance(granted, BaseException):
            assert isinstance(granted, cluster.NotFoundError)
            assert cancelled.status_code == 200
        else:
            assert (cancelled.status_code, cancelled.json()) == (404, MISSING)


async def test_two_who_give_up_the_same_place_are_told_that_one_of_them_did(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=1)
    await alice.post(f"/new/{kind}")
    place = await reserve(bob, f"/new/{kind}")
    answers = await asyncio.gather(*(bob.delete(f"/reservation/{place}") for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404]


async def test_what_is_written_through_one_replica_is_read_through_the_other_at_once(
    world: World, second: Api, signer: Signer, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=1)
    await alice.post(f"/new/{kind}")
    async with user_client(second, signer.token("bob")) as there:
        for here, elsewhere in ((bob, there), (there, bob)) * 4:
            place = await reserve(here, f"/new/{kind}")
            assert [(r["id"], r["position"]) for r in await listed(elsewhere, place)] == [(place, 1)]
            assert (await here.delete(f"/reservation/{place}")).status_code == 200
            assert await listed(elsewhere, place) == []


async def test_a_reservation_made_with_kubectl_is_known_by_its_uid_and_goes_by_priority(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type()
    deployment = await world.deployment(kind)
    await alice.post(f"/new/{kind}")
    first = await reserve(bob, f"/new/{kind}")
    wd: WorkspaceDeployment = await world.deployment_resource(deployment)
    body = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Reservation",
        "metadata": {"name": f"urgent-{wd.metadata.name}"},
        "spec": {
            "user": "bob",
            "deployments": [wd.metadata.name],
            "priority": 5,
            "instance": {"user": "bob"},
        },
    }
    made = await world.client.create(Reservation.api(), world.namespaces.workspaces, body)
    urgent: str = made["metadata"]["uid"]
    shown = await listed(bob, first, urgent)
    assert [(r["id"], r["position"]) for r in shown] == [(urgent, 1), (first, 2)]
    assert (await alice.get(f"/reservation/{urgent}")).status_code == 404
    assert (await bob.delete(f"/reservation/{urgent}")).status_code == 200
    assert [(r["id"], r["position"]) for r in await listed(bob, first, urgent)] == [(first, 1)]


async def test_a_user_has_so_many_places_at_most(
    world: World, api: Api, signer: Signer, alice: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=1)
    await alice.post(f"/new/{kind}")
    async with user_client(api, signer.token("patient")) as patient:
        first, *_ = [await world.wait_in_queue("patient", workspaceType=kind) for _ in range(MOST_WAITING)]
        answer = await patient.post(f"/new/{kind}", json={"reserve": True})
        assert answer.status_code == 400
        assert "at most 100 reservations" in answer.json()["error_message"]
        # The turn of one has come: it waits no more.
        await grant(world, first)
        await reserve(patient, f"/new/{kind}")


async def test_a_place_outlives_the_deployments_that_it_waits_for(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    kind = await world.type()
    one, two = await world.deployment(kind), await world.deployment(kind)
    for deployment in (one, two):
        await alice.post(f"/new/{deployment}")
    place = await reserve(bob, "/new", wds=[one, two])
    for deployment in (one, two):
        name = (await world.deployment_resource(deployment)).metadata.name
        await vanished(world.client, world.namespaces.workspaces, name)
    await eventually(lambda: _is_unknown(bob, two))
    (shown,) = await listed(bob, place)
    assert (shown["desc"], shown["position"]) == (f"deployments {one},{two}", 1)
    assert "eta" not in shown
    assert (await bob.delete(f"/reservation/{place}")).status_code == 200


async def _is_unknown(client: httpx.AsyncClient, deployment: str) -> bool:
    return (await client.get(f"/qlen?wds={deployment}")).status_code == 404
