"""Whose address it is: what the API takes for the caller's, and what the workspace sees, on both nodes."""

from dataclasses import replace

import pytest
from lab import NAMESPACE, Lab, Person
from places import IMAGE

from berth_cluster.network import NODES

pytestmark = pytest.mark.nodes


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
                assert rules == [[f"{person.address()}/32", "ACCEPT"]], "the API took another address for his"
                seen = person.ssh(info, "echo $SSH_CONNECTION").stdout.split()
                assert seen[:1] == [person.address()], "the workspace saw another address than his"
                person.ends(instance)
        finally:
            lab.kubectl("delete", "wt,wd", name, "-n", NAMESPACE)
