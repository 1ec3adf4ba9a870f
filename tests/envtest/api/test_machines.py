"""Machines of owners: registered, changed and retired over HTTP, within what a MachineGrant permits."""

import asyncio
import itertools
from typing import Any

import httpx
import pytest

from berth_core import names
from berth_core.resources import MachineGrant

from .book import fresh
from .conftest import user_client
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

Json = dict[str, Any]
_numbers = itertools.count(1)
UNKNOWN = "0190f7a0-0000-7000-8000-000000000000"


class Place:
    """A type of its own, and a network that no other test has."""

    def __init__(self, world: World, type_name: str, number: int) -> None:
        self.world = world
        self.type = type_name
        self.prefix = f"198.18.{number}"

    async def grant(self, *users: str, ports: str = "30002", most: int = 2, **spec: Any) -> str:
        """Let users register machines of the network; answer the grant's name."""
        name = f"grant-{next(_numbers)}"
        network = {"cidr": f"{self.prefix}.0/24", "ports": [{"port": int(ports)}]}
        body = {
            "apiVersion": "berth.dev/v1alpha1",
            "kind": "MachineGrant",
            "metadata": {"name": name, "namespace": self.world.namespaces.workspaces},
            "spec": {"users": list(users), "types": [self.type], "networks": [network], "deployments": most} | spec,
        }
        await self.world.client.create(MachineGrant.api(), self.world.namespaces.workspaces, body)
        return name

    def machine(self, host: int = 40, *ports: str) -> Json:
        """A machine in the network."""
        return {"network": {"addresses": [f"{self.prefix}.{host}"], "ports": list(ports) or ["30002"]}}

    def request(self, host: int = 40, **options: Any) -> Json:
        """A request to register one."""
        return {"type": self.type, "machine": self.machine(host)} | options


@pytest.fixture
async def place(world: World) -> Place:
    return Place(world, await world.type(), next(_numbers))


async def registered(client: httpx.AsyncClient, body: Json) -> str:
    answer = await client.post("/deployment", json=body)
    assert answer.status_code == 200, answer.text
    made: str = answer.json()["id"]
    return made


def refused(answer: httpx.Response, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    for word in words:
        assert word in answer.json()["error_message"]


async def test_an_owner_registers_a_machine_within_a_grant(
    world: World, place: Place, alice: httpx.AsyncClient
) -> None:
    grant = await place.grant("alice")
    wanted: Json = {
        "desc": "the one by the door",
        "region": "lab",
        "type_version": 3,
        "health": {"tcp": 30002, "every": 5},
    }
    answer = await alice.post("/deployment", json=place.request(**wanted))
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made["grant"] == grant
    resource = await world.deployment_resource(made["id"])
    spec = resource.spec
    assert resource.metadata.name == made["id"]
    assert resource.metadata.labels.keys() >= {names.TOKEN_LABEL, names.MANAGED_BY_LABEL}
    assert (spec.type, spec.owners, spec.grant) == (place.type, ["alice"], grant)
    assert (spec.description, spec.region, spec.type_version) == ("the one by the door", "lab", 3)
    assert spec.health is not None
    assert (spec.health.tcp, spec.health.every, spec.health.host) == (30002, 5, None)
    assert resource.network is not None
    assert resource.network.wire() == {
        "addresses": [f"{place.prefix}.40/32"],
        "ports": [{"protocol": "TCP", "port": 30002}],
    }
    shown = (await alice.get(f"/deployment/{made['id']}")).json()
    assert shown["machine"] == {"network": {"addresses": [f"{place.prefix}.40/32"], "ports": ["30002/TCP"]}}
    assert shown["grant"] == grant


async def test_addresses_are_shown_to_owners_and_superusers_only(
    place: Place, http: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    await place.grant("alice")
    made = await registered(alice, place.request())
    for client in (http, bob):
        answer = await client.get(f"/deployment/{made}")
        assert answer.json()["machine"] == {"network": {"ports": ["30002/TCP"]}}
        assert place.prefix not in answer.text
        assert "grant" not in answer.json()
    for client in (alice, root):
        assert (await client.get(f"/deployment/{made}")).json()["machine"]["network"]["addresses"]

    async def is_listed() -> bool:
        return made in (await http.get("/deployments?info")).json()["info"]

    await eventually(is_listed)
    for client in (http, bob, alice, root):
        answer = await client.get("/deployments?info")
        assert answer.json()["info"][made]["machine"] == {"network": {"ports": ["30002/TCP"]}}
        assert place.prefix not in answer.text


async def test_a_machine_outside_of_the_caller_s_grants_is_refused_with_the_next_step(
    place: Place, alice: httpx.AsyncClient, bob: httpx.AsyncClient, signer: Signer, api: Api
) -> None:
    grant = await place.grant("alice", "dora")
    refused(await bob.post("/deployment", json=place.request()), 403, "no MachineGrant", "ask an administrator")
    async with user_client(api, signer.token("dora")) as dora:
        for machine in (
            {"network": {"addresses": ["198.51.100.7"], "ports": ["30002"]}},
            place.machine(40, "30003"),
            place.machine(40, "30002/UDP"),
            {"network": {"addresses": [f"{place.prefix}.40"]}},
            {"network": {"addresses": [f"{place.prefix}.40", "2001:db8::1"], "ports": ["30002"]}},
        ):
            answer = await dora.post("/deployment", json={"type": place.type, "machine": machine})
            refused(answer, 403, f"lies in no entry of MachineGrant {grant}", "ask an administrator to extend")
        answer = await dora.post("/deployment", json=place.request() | {"type": "other"})
        refused(answer, 403, f"MachineGrant {grant} is for machines of type {place.type}, and not other")


async def test_a_superuser_needs_a_grant_too(place: Place, root: httpx.AsyncClient) -> None:
    await place.grant("alice")
    refused(await root.post("/deployment", json=place.request()), 403, "no MachineGrant")


async def test_two_grants_do_not_cover_a_machine_together_and_one_of_several_is_enough(
    place: Place, signer: Signer, api: Api
) -> None:
    user = f"user-{place.type}"
    await place.grant(user, networks=[{"cidr": f"{place.prefix}.0/29"}])
    second = await place.grant(user, networks=[{"cidr": f"{place.prefix}.8/29"}])
    async with user_client(api, signer.token(user)) as client:
        body = {"type": place.type, "machine": {"network": {"addresses": [f"{place.prefix}.0/28"]}}}
        refused(await client.post("/deployment", json=body), 403, "lies in no entry")
        answer = await client.post("/deployment", json=place.request(9))
        assert answer.json()["grant"] == second, answer.text


async def test_a_grant_is_full_until_a_machine_is_retired(place: Place, alice: httpx.AsyncClient) -> None:
    grant = await place.grant("alice", most=1)
    made = await registered(alice, place.request(40))
    refused(await alice.post("/deployment", json=place.request(41)), 429, f"{grant} (1)", "retire one first")
    for _ in range(2):
        answer = await alice.delete(f"/deployment/{made}")
        assert (answer.status_code, answer.content) == (200, b"")
    await registered(alice, place.request(41))


async def test_a_retired_machine_takes_nobody_new_stays_for_its_history_and_is_changed_no_more(
    world: World, place: Place, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await place.grant("alice")
    made = await registered(alice, place.request())
    await world.look_at(made)
    held = (await bob.post(f"/new/{made}")).json()["id"]
    before = await world.deployment_resource(made)
    assert (await alice.delete(f"/deployment/{made}")).status_code == 200
    after = await world.deployment_resource(made)
    assert after.spec.dissolved is not None
    assert after.status.lease == before.status.lease, "its holder keeps it"
    assert (await bob.get(f"/instance/{held}")).json()["status"] == "INIT"
    refused(await alice.post(f"/new/{made}"), 400, "dissolved")
    refused(await alice.patch(f"/deployment/{made}", json={"desc": "x"}), 400, "register the machine anew")
    assert (await alice.get(f"/deployment/{made}")).json()["dissolved"] == after.spec.dissolved


async def test_an_owner_changes_a_machine_and_what_is_absent_stays(
    world: World, place: Place, alice: httpx.AsyncClient
) -> None:
    grant = await place.grant("alice")
    made = await registered(alice, place.request(health={"tcp": 30002}, desc="first"))
    answer = await alice.patch(f"/deployment/{made}", json={"machine": place.machine(41), "region": "yard"})
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["machine"]["network"]["addresses"] == [f"{place.prefix}.41/32"]
    assert (shown["desc"], shown["region"], shown["grant"]) == ("first", "yard", grant)
    spec = (await world.deployment_resource(made)).spec
    assert spec.health is not None
    assert spec.owners == ["alice"]
    await alice.patch(f"/deployment/{made}", json={"health": {"http": {"port": 30002, "tls": True}}})
    health = (await world.deployment_resource(made)).spec.health
    assert health is not None
    assert (health.tcp, health.http and health.http.tls) == (None, True)
    maintenance = {"reason": "a new gripper", "until": "2100-01-01T00:00:00Z"}
    answer = await alice.patch(f"/deployment/{made}", json={"maintenance": maintenance, "health": None})
    assert answer.json()["maintenance"] == maintenance
    answer = await alice.patch(f"/deployment/{made}", json={"maintenance": {"reason": "still"}})
    assert answer.json()["maintenance"] == {"reason": "still"}, "an end that is not named is gone"
    assert "maintenance" not in (await alice.patch(f"/deployment/{made}", json={"maintenance": None})).json()
    spec = (await world.deployment_resource(made)).spec
    assert (spec.health, spec.maintenance, spec.description) == (None, None, "first")


async def test_a_change_of_the_machine_lies_within_a_grant_and_moves_to_the_one_that_covers_it(
    place: Place, alice: httpx.AsyncClient
) -> None:
    await place.grant("alice")
    made = await registered(alice, place.request())
    answer = await alice.patch(f"/deployment/{made}", json={"machine": place.machine(40, "30003")})
    refused(answer, 403, "lies in no entry")
    other = await place.grant("alice", ports="30003", most=1)
    answer = await alice.patch(f"/deployment/{made}", json={"machine": place.machine(40, "30003")})
    assert answer.json()["grant"] == other, answer.text


async def test_endpoints_of_another_deployment_are_refused(
    world: World, place: Place, alice: httpx.AsyncClient
) -> None:
    await place.grant("alice", most=5, networks=[{"cidr": f"{place.prefix}.0/24"}])
    network = {"addresses": [f"{place.prefix}.50/32"], "ports": [{"port": 30002}]}
    hidden = await world.deployment(place.type, machine={"network": network})
    theirs = "another machine has some"
    answer = await alice.post("/deployment", json=place.request(50))
    refused(answer, 409, theirs)
    assert hidden not in answer.text, "where a machine stands is for its owners"
    body = {"type": place.type, "machine": {"network": {"addresses": [f"{place.prefix}.48/29"]}}}
    refused(await alice.post("/deployment", json=body), 409, theirs)
    beside = {"type": place.type, "machine": place.machine(50, "30003")}
    made = await registered(alice, beside)
    refused(await alice.patch(f"/deployment/{made}", json={"machine": place.machine(50)}), 409, theirs)
    answer = await alice.patch(f"/deployment/{made}", json={"machine": place.machine(50, "30003", "30004")})
    assert answer.status_code == 200, "its own endpoints are in nobody's way"


async def test_a_machine_of_an_administrator_s_is_changed_over_http_only_once_it_names_a_grant(
    world: World, place: Place, alice: httpx.AsyncClient
) -> None:
    made = await world.deployment(place.type, owners=["alice"])
    for answer in (await alice.patch(f"/deployment/{made}", json={}), await alice.delete(f"/deployment/{made}")):
        refused(answer, 403, "an administrator answers", "spec.grant")
    grant = await place.grant("alice")
    metadata = (await world.deployment_resource(made)).metadata
    kind = (await world.deployment_resource(made)).api()
    await world.client.patch(kind, metadata.namespace, metadata.name, {"spec": {"grant": grant}})
    assert (await alice.patch(f"/deployment/{made}", json={"machine": place.machine()})).status_code == 200


async def test_others_change_nothing(place: Place, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await place.grant("alice", "bob")
    made = await registered(alice, place.request())
    refused(await bob.patch(f"/deployment/{made}", json={"desc": "x"}), 403, "only owners")
    refused(await bob.delete(f"/deployment/{made}"), 403, "only owners")
    refused(await bob.patch(f"/deployment/{UNKNOWN}", json={}), 404, "no workspace deployment found")
    refused(await bob.delete(f"/deployment/{UNKNOWN}"), 404, "no workspace deployment found")


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ({}, None),
        ({"sc": ["own"]}, None),
        ({"sc": ["rw", "own"]}, None),
        ({"sc": ["rw"]}, "scope `own`"),
        ({"sc": ["ro"]}, "scope `own`"),
        ({"sc": []}, "scope `own`"),
        ({"wt": ["other"]}, "machines of type"),
        ({"in": UNKNOWN}, "constrained to another instance"),
    ],
)
async def test_the_scope_own_is_for_machines(
    place: Place, api: Api, signer: Signer, alice: httpx.AsyncClient, claims: Json, word: str | None
) -> None:
    await place.grant("alice", most=5)
    theirs = await registered(alice, place.request(60))
    async with user_client(api, signer.token("alice", **claims)) as client:
        answers = [
            await client.post("/deployment", json=place.request(61)),
            await client.patch(f"/deployment/{theirs}", json={"desc": "x"}),
            await client.delete(f"/deployment/{theirs}"),
        ]
    if word is None:
        assert [answer.status_code for answer in answers] == [200, 200, 200]
    else:
        for answer in answers:
            refused(answer, 400, word)


async def test_a_token_for_machines_locks_them_and_takes_no_instance(place: Place, api: Api, signer: Signer) -> None:
    await place.grant("alice")
    async with user_client(api, signer.token("alice", sc=["own"])) as keeper:
        made = await registered(keeper, place.request())
        assert (await keeper.post(f"/deployment/{made}/lockout")).status_code == 200
        assert (await keeper.delete(f"/deployment/{made}/lockout")).status_code == 200
        assert (await keeper.post(f"/deployment/{made}/rule", json={"cap": "CAP_NO_INSTANTIATE"})).status_code == 200
        refused(await keeper.post(f"/new/{made}"), 400, "token scope does not permit instantiation")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"type": None}, "option `type` is required: name of its type"),
        ({"machine": None}, "option `machine` is required: the machine itself"),
        ({"type": "no-type"}, "`type` must have letters"),
        ({"machine": {}}, "`machine` has wrong type"),
        ({"machine": {"network": {"addresses": []}}}, "`machine.network.addresses` must be 1 to 16"),
        ({"machine": {"network": {"addresses": ["robot.lab"]}}}, "`machine.network.addresses` must be 1 to 16"),
        ({"machine": {"network": {"addresses": ["192.0.2.40/24"]}}}, "`machine.network.addresses` must be 1 to 16"),
        ({"machine": {"network": {"addresses": ["192.0.0.0/23"]}}}, "the largest is a /24, of IPv6 a /64"),
        ({"machine": {"network": {"addresses": ["2001:db8::/48"]}}}, "the largest is a /24, of IPv6 a /64"),
        ({"machine": {"network": {"addresses": ["192.0.2.40"], "ports": ["9-1"]}}}, "must be at most 32 ports"),
        ({"machine": {"network": {"addresses": ["192.0.2.40"], "ports": ["1/SCTP"]}}}, "must be at most 32 ports"),
        ({"machine": {"network": {"addresses": ["192.0.2.40"], "ports": [80]}}}, "must be at most 32 ports"),
        ({"health": {}}, "`health` must have either `tcp` or `http`"),
        ({"health": {"tcp": 0}}, "`health.tcp` must be a port"),
        ({"health": {"tcp": 1, "every": 0}}, "`health.every` must be 1 to 3600 seconds"),
        ({"health": {"tcp": 22}}, "asks port 22, which is none of the machine's"),
        ({"health": {"http": {"port": 30002, "path": "/move?x=90"}}}, "a controller may obey"),
        ({"health": {"http": {"port": 30002}, "during_lease": True}}, "between leases only"),
        ({"maintenance": {"reason": ""}}, "`maintenance.reason` must have 1 to 512"),
        ({"maintenance": {"reason": "x", "until": "tomorrow"}}, "`maintenance.until` must be a time"),
        ({"desc": 7}, "`desc` has wrong type"),
    ],
)
async def test_a_wrong_option_is_named(place: Place, alice: httpx.AsyncClient, change: Json, word: str) -> None:
    await place.grant("alice")
    refused(await alice.post("/deployment", json=place.request() | change), 400, word)


async def test_a_type_that_is_not_there_is_refused(place: Place, alice: httpx.AsyncClient) -> None:
    await place.grant("alice", types=["gone_type"])
    answer = await alice.post("/deployment", json=place.request() | {"type": "gone_type"})
    refused(answer, 404, "no workspace type found with given name")


async def test_a_repeated_registration_with_a_key_makes_one_machine(
    world: World, place: Place, alice: httpx.AsyncClient
) -> None:
    await place.grant("alice")
    key = fresh()
    answers = [await alice.post("/deployment", json=place.request(), headers=key) for _ in range(2)]
    assert answers[0].status_code == 200, answers[0].text
    assert answers[1].json() == answers[0].json()
    assert answers[1].headers["idempotency-replayed"] == "true"


async def test_concurrent_changes_of_one_machine_are_all_there(place: Place, alice: httpx.AsyncClient) -> None:
    await place.grant("alice")
    made = await registered(alice, place.request())
    changes: list[Json] = [{"desc": "d"}, {"region": "r"}, {"type_version": 7}, {"machine": place.machine(42)}]
    answers = await asyncio.gather(*(alice.patch(f"/deployment/{made}", json=one) for one in changes))
    assert [answer.status_code for answer in answers] == [200] * 4
    shown = (await alice.get(f"/deployment/{made}")).json()
    assert (shown["desc"], shown["region"], shown["type_version"]) == ("d", "r", 7)
    assert shown["machine"]["network"]["addresses"] == [f"{place.prefix}.42/32"]
