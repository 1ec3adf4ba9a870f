"""Addresses of callers: the one that the API sees, and the one that the workspace sees, on both nodes."""

import json
from dataclasses import replace

import pytest
from lab import DEPLOYMENT_TYPE, NAMESPACE, Lab, Person
from places import IMAGE

from berth_dev.cluster.network import NODES

pytestmark = pytest.mark.nodes

BALANCER, BALANCED = "balancer", "198.51.100.60"
"""A Service, and its address (of RFC 5737)."""


@pytest.mark.release(twin="tests/e2e/test_main_job.py::test_the_source_address_that_asked_is_the_one_that_is_let_in")
def test_a_callers_address_is_his_own_whichever_node_answers_and_whichever_has_the_instance(
    lab: Lab, ada: Person, bob: Person
) -> None:
    for number, node in enumerate(NODES):
        template = {
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "nodeSelector": {"kubernetes.io/hostname": node.name},
        }
        name = lab.makes_type(f"on_{node.name.replace('-', '_')}", template)
        try:
            for api, person in ((number, ada), (1 - number, bob)):
                person = replace(person, api=api)
                instance = person.takes(f"on_{node.name.replace('-', '_')}")
                info = person.asks("GET", f"/instance/{instance}").json
                assert info["fwd"]["ipv4"] == node.address
                rules = person.asks("GET", f"/firewall/{instance}").json["rules"]
                assert rules == [[f"{person.address()}/32", "ACCEPT"]], "the API took another address for the user's"
                seen = person.ssh(info, "echo $SSH_CONNECTION").stdout.split()
                assert seen[:1] == [person.address()], "the workspace saw another address than the user's"
                person.ends(instance)
        finally:
            lab.kubectl("delete", "wt,wd", name, "-n", NAMESPACE)


@pytest.mark.release(twin="tests/envtest/operator/test_load_balancer.py")
def test_a_load_balancer_that_keeps_addresses_lets_in_whom_the_rules_name(lab: Lab, ada: Person, bob: Person) -> None:
    """The machine has no load balancer: the test gives a Service an address, and clients a route to it by the node."""
    instance = ada.takes(DEPLOYMENT_TYPE)
    info = ada.asks("GET", f"/instance/{instance}").json
    spec = lab.get("service", f"i-{instance}")["spec"]
    kept = {key: spec[key] for key in ("selector", "externalTrafficPolicy", "publishNotReadyAddresses")}
    (port,) = spec["ports"]
    ports = [{key: port[key] for key in ("name", "protocol", "port", "targetPort")}]
    balanced = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": BALANCER, "namespace": NAMESPACE},
        "spec": {**kept, "type": "LoadBalancer", "ports": ports},
    }
    lab.kubectl("apply", "-f", "-", stdin=json.dumps(balanced))
    given = json.dumps({"status": {"loadBalancer": {"ingress": [{"ip": BALANCED, "ipMode": "VIP"}]}}})
    lab.kubectl("patch", "service", BALANCER, "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", given)
    for person in (ada, bob):
        person.run(["ip", "route", "replace", BALANCED, "via", info["fwd"]["ipv4"]])
    try:
        there = {**info, "fwd": {"ipv4": BALANCED, "port": port["port"]}}
        ada.probe(there, "open", seconds=20)
        assert bob.probe(there, "shut") == 0.0
        assert ada.ssh(there, "echo $SSH_CONNECTION").stdout.split()[:1] == [ada.address()]
        assert ada.asks("DELETE", f"/firewall/{instance}").status == 200
        ada.probe(there, "shut")
    finally:
        for person in (ada, bob):
            person.run(["ip", "route", "delete", BALANCED])
        lab.kubectl("delete", "service", BALANCER, "-n", NAMESPACE)
        ada.ends(instance)
