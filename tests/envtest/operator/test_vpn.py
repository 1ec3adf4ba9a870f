"""An instance with a VPN, from its keys to their end. Agents are played here; tests/e2e/test_vpn.py has real ones."""

import base64

import pytest
from cryptography import x509

from berth_core import names
from berth_core.kube.types import Kind, Object
from berth_core.vpn.authority import serial_of
from berth_dev.envtest.puppets import Puppets

from .killing import Happens, deleted, kill, kill_when, succeed
from .lab import INSTANCES, PODS, POLICIES, SECRETS, SERVICES, VPN_CLIENTS, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver
OFFERED = {"BERTH_VPN_IMAGE": "berth.invalid/vpn:test"}


async def serving(lab: Lab) -> str:
    """An instance whose VPN serves; its id."""
    await lab.type()
    await lab.deployment("one")
    name = await lab.instance(workspaceType="bench", vpn=True, requesterAddress="198.51.100.7")
    await lab.until(INSTANCES, name, lambda o: condition(o, "VPNReady", "status") == "True", seconds=20)
    return name


async def signed(lab: Lab, name: str, instance: str) -> Object:
    await lab.create(VPN_CLIENTS, name, {"instance": instance})
    return await lab.until(VPN_CLIENTS, name, lambda o: condition(o, "Ready", "status") == "True")


async def profile(lab: Lab, client: Object) -> str:
    reference = client["status"]["secretRef"]
    found = await lab.get(SECRETS, reference["name"], reference["namespace"])
    return base64.b64decode(found["data"]["profile.ovpn"]).decode()


async def test_clients_are_signed_refused_when_deleted_and_gone_with_their_instance(
    lab: Lab, operators: Operators, puppets: Puppets
) -> None:
    operators.start(**OFFERED)
    instance = await serving(lab)
    nonce = (await lab.get(INSTANCES, instance))["status"]["nonce"]
    keys = await lab.kept(SECRETS, f"i-{instance}-e1-{nonce}-vpn")
    authority = x509.load_pem_x509_certificate(base64.b64decode(keys["data"]["ca.crt"]))
    port = (await lab.get(SERVICES, f"i-{instance}"))["spec"]["ports"][1]
    assert (port["name"], port["protocol"]) == ("vpn", "UDP")
    allowed = (await lab.get(POLICIES, names.type_policy("bench")))["spec"]["ingress"][0]
    assert {(one["protocol"], one["port"]) for one in allowed["ports"]} == {("TCP", 22), ("UDP", 1194)}
    assert "berth-vpn" in puppets.states[f"i-{instance}"]["ruleset"]

    one, two = await signed(lab, "one", instance), await signed(lab, "two", instance)
    uid = one["metadata"]["uid"]
    assert one["status"]["clientID"] == uid
    text = await profile(lab, one)
    assert f"remote 198.51.100.11 {port['nodePort']}" in text
    certificate = x509.load_pem_x509_certificate(text.split("<cert>\n")[1].encode())
    certificate.verify_directly_issued_by(authority)
    assert certificate.serial_number == serial_of(uid)
    issued = (await lab.get(INSTANCES, instance))["status"]["vpn"]["issued"]
    assert issued == [uid, two["metadata"]["uid"]]

    await lab.client.delete(VPN_CLIENTS, lab.namespace, "one")
    await puppets.until(lambda: puppets.revoked.get(f"i-{instance}") == [uid], 20)
    await lab.until_gone(SECRETS, f"v-{uid}", namespace=lab.namespaces.access)
    assert not await lab.absent(SECRETS, f"v-{two['metadata']['uid']}", lab.namespaces.access)

    # A new leader tells the agent again, since it does not know what that was told.
    puppets.revoked.clear()
    await kill(operators)
    await succeed(lab, operators, **OFFERED)
    await puppets.until(lambda: puppets.revoked.get(f"i-{instance}") == [uid], 30)
    three = await signed(lab, "three", instance)

    # A pod that is made again is told before anybody is let in.
    puppets.revoked.clear()
    pod = await lab.get(PODS, f"i-{instance}")
    await lab.client.delete(PODS, lab.namespace, f"i-{instance}", uid=pod["metadata"]["uid"], grace_seconds=1)
    await lab.until(PODS, f"i-{instance}", lambda o: o["metadata"]["uid"] != pod["metadata"]["uid"], seconds=20)
    await puppets.until(lambda: puppets.revoked.get(f"i-{instance}") == [uid], 20)

    await lab.client.patch(INSTANCES, lab.namespace, instance, {"spec": {"terminate": True}})
    ended = await lab.until(INSTANCES, instance, lambda o: condition(o, "Ended", "status") == "True", seconds=20)
    assert condition(ended, "VPNReady", "status") == "False"
    assert await lab.lease("one") is None
    for client in (two, three):
        assert await lab.absent(VPN_CLIENTS, client["metadata"]["name"])
        assert await lab.absent(SECRETS, f"v-{client['metadata']['uid']}", lab.namespaces.access)
    assert await lab.secrets(instance) == []
    # A client that is made after the end is deleted too.
    await lab.create(VPN_CLIENTS, "late", {"instance": instance})
    await lab.until_gone(VPN_CLIENTS, "late")


def issued(_event: str, obj: Object) -> bool:
    return bool((obj.get("status") or {}).get("vpn"))


def profile_made(event: str, obj: Object) -> bool:
    return event == "ADDED" and obj["metadata"]["name"].startswith("v-")


SIGNING: list[tuple[str, Kind, Happens]] = [
    ("it is written down who is signed", INSTANCES, issued),
    ("its profile is stored", SECRETS, profile_made),
    ("it says that it is ready", VPN_CLIENTS, lambda _, o: condition(o, "Ready", "status") == "True"),
]


@pytest.mark.release(
    twin="tests/envtest/operator/test_vpn.py::test_clients_are_signed_refused_when_deleted_and_gone_with_their_instance"
)
async def test_who_is_signed_and_who_is_revoked_survives_a_kill_at_any_write(
    lab: Lab, operators: Operators, puppets: Puppets
) -> None:
    operators.start(**OFFERED)
    instance = await serving(lab)
    access, uids = lab.namespaces.access, list[str]()
    for number, (_, kind, happens) in enumerate(SIGNING):
        name, namespace = f"client-{number}", access if kind == SECRETS else ""
        making = lab.create(VPN_CLIENTS, name, {"instance": instance})
        await kill_when(lab, operators, kind, happens, making, namespace, **OFFERED)
        client = await lab.until(VPN_CLIENTS, name, lambda o: condition(o, "Ready", "status") == "True", seconds=20)
        certificate = x509.load_pem_x509_certificate((await profile(lab, client)).split("<cert>\n")[1].encode())
        uids.append(client["metadata"]["uid"])
        assert certificate.serial_number == serial_of(uids[-1])
    assert (await lab.get(INSTANCES, instance))["status"]["vpn"]["issued"] == uids
    assert f"i-{instance}" not in puppets.revoked, "nobody is revoked who is there"

    # One is deleted while nobody leads, another is deleted and the operator killed once that is done.
    await kill(operators)
    await lab.client.delete(VPN_CLIENTS, lab.namespace, "client-0")
    await succeed(lab, operators, **OFFERED)
    await puppets.until(lambda: puppets.revoked.get(f"i-{instance}") == uids[:1], 20)
    revoking = lab.client.delete(VPN_CLIENTS, lab.namespace, "client-1")

    def its_profile_goes(event: str, obj: Object) -> bool:
        return deleted(event, obj) and obj["metadata"]["name"] == f"v-{uids[1]}"

    await kill_when(lab, operators, SECRETS, its_profile_goes, revoking, access, **OFFERED)
    puppets.revoked.clear()
    await puppets.until(lambda: puppets.revoked.get(f"i-{instance}") == sorted(uids[:2]), 20)

    ending = lab.client.patch(INSTANCES, lab.namespace, instance, {"spec": {"terminate": True}})
    await kill_when(lab, operators, VPN_CLIENTS, deleted, ending, **OFFERED)
    await lab.until(INSTANCES, instance, lambda o: condition(o, "Ended", "status") == "True", seconds=20)
    left, _ = await lab.client.list(SECRETS, access, labels={"berth.dev/instance": instance})
    assert left == []
    left, _ = await lab.client.list(VPN_CLIENTS, lab.namespace)
    assert left == []


async def test_where_none_is_offered_the_instance_says_so_and_is_ready_all_the_same(
    lab: Lab, operators: Operators, puppets: Puppets
) -> None:
    operators.start()
    await lab.type()
    await lab.deployment("one")
    name = await lab.instance(workspaceType="bench", vpn=True)
    found = await lab.until(INSTANCES, name, lambda o: condition(o, "VPNReady") == "NotOffered", seconds=20)
    assert "vpn.enabled" in str(condition(found, "VPNReady", "message"))
    assert not any(secret.endswith("-vpn") for secret in await lab.secrets(name))
    assert len((await lab.get(PODS, f"i-{name}"))["spec"]["containers"]) == 1
