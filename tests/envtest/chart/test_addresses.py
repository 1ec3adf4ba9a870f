"""Addresses of machines are no Service's, in any namespace and from anybody."""

from collections.abc import Iterator
from typing import Any

import pytest

from berth_core.kube.types import Object
from berth_dev.envtest.asking import Asking, asking

from .conftest import NAMESPACE, Helm, until

NETWORKS = "--set=instances.machineCidrs={192.0.2.0/24,2001:db8:7::/64}"
POLICY = f"berth-addresses-{NAMESPACE}"
ROBOTS = ("192.0.2.40", "2001:db8:7::40")
FREE = ("198.51.100.1", "2001:db8:8::40")
POLICIES, SERVICES = "/apis/admissionregistration.k8s.io/v1", "/api/v1/namespaces/default/services"
PLURALS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
OLD, OTHER = "before-addresses", "beside-addresses"


def service(name: str, **spec: Any) -> Object:
    body = {"type": "LoadBalancer", "ports": [{"port": 7400}]} | spec
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body}


def ingress(*addresses: str) -> Object:
    return {"status": {"loadBalancer": {"ingress": [{"ip": address} for address in addresses]}}}


@pytest.fixture(scope="module")
def ask(helm: Helm) -> Iterator[Asking]:
    """Make a Service with a machine's addresses and one without, and then the policy of these networks alone."""
    policies = [obj for obj in helm.render(NETWORKS) if obj["metadata"]["name"] == POLICY]
    assert len(policies) == 2, "the policy and its binding"
    paths = [f"{POLICIES}/{PLURALS[obj['kind']]}" for obj in policies]
    made = [
        (SERVICES, service(OLD, externalIPs=[*ROBOTS])),
        (SERVICES, service(OTHER)),
        *zip(paths, policies, strict=True),
    ]
    with asking(helm.server) as asked:
        for path, obj in made:
            answer = asked("", "POST", path, obj, dry=False)
            assert answer.status_code == 201, answer.text
            if obj["metadata"]["name"] == OLD:
                asked("", "PATCH", f"{SERVICES}/{OLD}/status", ingress(*ROBOTS), dry=False).raise_for_status()
        until(
            lambda: refused(asked, "POST", SERVICES, service("x", externalIPs=[*ROBOTS])), f"{POLICY} is not in force"
        )
        yield asked
        for path, obj in reversed(made):
            asked("", "DELETE", f"{path}/{obj['metadata']['name']}", dry=False)


def refused(ask: Asking, method: str, path: str, body: Object) -> bool:
    """Whether the policy refuses it to the cluster's administrator, whom nothing else may refuse it."""
    answer = ask("", method, path, body)
    assert answer.is_success or POLICY in answer.text, answer.text
    return not answer.is_success


def requests(name: str, *addresses: str) -> Iterator[tuple[str, str, Object]]:
    """Every request by which a Service gets addresses: a new one, and changes to one."""
    one = f"{SERVICES}/{name}"
    yield "POST", SERVICES, service("x", externalIPs=[*addresses])
    yield "POST", SERVICES, service("x", type="ClusterIP", externalIPs=[*addresses])
    yield "PATCH", one, {"spec": {"externalIPs": [*addresses]}}
    yield "PATCH", f"{one}/status", ingress(*addresses)
    for address in addresses[-1:]:
        yield "POST", SERVICES, service("x", loadBalancerIP=address)
        yield "PATCH", one, {"spec": {"loadBalancerIP": address}}


@pytest.mark.parametrize("robot", [*ROBOTS, "192.0.2.0", "2001:0DB8:7:0::FFFF"])
def test_no_service_takes_the_address_of_a_machine(ask: Asking, robot: str) -> None:
    for others in ((), FREE):
        for request in requests(OTHER, *others, robot):
            assert refused(ask, *request), request


@pytest.mark.parametrize("robot", ["::ffff:192.0.2.40", "192.000.002.040"])
def test_no_service_takes_it_in_another_form(ask: Asking, robot: str) -> None:
    """Newer API servers refuse such forms by themselves, but not in `spec.loadBalancerIP`."""
    for method, path, body in requests(OTHER, robot):
        answer = ask("", method, path, body)
        assert not answer.is_success, body
        if "loadBalancerIP" in body.get("spec", {}):
            assert "may be a machine's address in another form" in answer.text


def test_services_have_every_other_address(ask: Asking) -> None:
    for request in requests(OTHER, *FREE):
        assert not refused(ask, *request), request
    assert not refused(ask, "POST", SERVICES, service("x", loadBalancerIP="name-of-an-address"))


def test_a_service_of_before_keeps_its_addresses_and_gets_no_other_machine_s(ask: Asking) -> None:
    one = f"{SERVICES}/{OLD}"
    for change in (
        {"metadata": {"labels": {"a": "b"}}},
        {"spec": {"ports": [{"port": 22}]}},
        {"spec": {"externalIPs": None}},
    ):
        assert not refused(ask, "PATCH", one, change)
    assert not refused(ask, "PATCH", f"{one}/status", ingress(*ROBOTS[:1]))
    assert not refused(ask, "PATCH", f"{one}/status", {"metadata": {"finalizers": None}})
    for request in (
        ("PATCH", one, {"spec": {"externalIPs": [*ROBOTS, "192.0.2.41"]}}),
        ("PATCH", f"{one}/status", ingress("192.0.2.41")),
    ):
        assert refused(ask, *request), request


def test_without_networks_of_machines_there_is_no_such_policy(helm: Helm) -> None:
    assert POLICY not in [obj["metadata"]["name"] for obj in helm.render()]
