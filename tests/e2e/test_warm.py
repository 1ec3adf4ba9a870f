"""A pod that is kept warm: shut while nobody has it, one holder's from then on, never the next one's."""

from collections.abc import Iterator
from typing import Any

import pytest
from lab import NAMESPACE, Lab, Person

from berth_core import names

TYPE = "kept_warm"
TEMPLATE = {"image": "localhost/berth-workspace:dev", "imagePullPolicy": "IfNotPresent"}


@pytest.fixture
def machine(lab: Lab) -> Iterator[str]:
    """Public id of a deployment whose pod is kept warm."""
    name = lab.makes_type(TYPE, TEMPLATE, warm=True)
    yield str(lab.get("wd", name)["status"]["id"])
    lab.kubectl("delete", f"wd/{name}", f"wt/{name}", "-n", NAMESPACE)


def waits(lab: Lab, machine: str, epoch: int) -> Any:
    """The pod that is kept warm for an epoch, once all of it runs."""
    name = names.warm_object(machine, epoch)
    lab.wait(f"pod/{name}", "create", seconds=60)
    lab.wait(f"pod/{name}", "condition=Ready", seconds=60)
    return lab.get("pod", name)


def door(lab: Lab, pod: Any) -> Any:
    """Where it will answer."""
    service = lab.get("service", pod["metadata"]["name"])
    return {"fwd": {"ipv4": pod["status"]["hostIP"], "port": service["spec"]["ports"][0]["nodePort"]}}


def test_a_warm_pod_is_shut_before_one_holder_s_in_its_lease_and_gone_after(
    lab: Lab, ada: Person, bob: Person, machine: str
) -> None:
    pod = waits(lab, machine, 1)
    assert ada.probe(door(lab, pod), "shut") == 0.0

    instance = ada.takes(TYPE)
    info = ada.asks("GET", f"/instance/{instance}").json
    assert info["fwd"] == door(lab, pod)["fwd"], "the node port that was there before"
    assert lab.get("instance", instance)["status"]["podUid"] == pod["metadata"]["uid"]
    written = ada.ssh(info, "echo mine > ~/trace && hostname")
    assert (written.returncode, written.stdout) == (0, "workspace\n"), written.stderr
    assert bob.probe(info, "shut") == 0.0, "a second address must never have been let in"
    assert ada.ssh(info, "true", key=bob.key).returncode == 255, "another key must not open the shell"

    ada.ends(instance)
    assert lab.leftovers(instance) == []
    of_the_first = f"berth.dev/deployment={pod['metadata']['labels']['berth.dev/deployment']},berth.dev/epoch=1"
    for kind in ("pods", "services", "secrets", "networkpolicies"):
        assert lab.objects(kind, of_the_first) == []

    following = waits(lab, machine, 2)
    assert ada.probe(door(lab, following), "shut") == 0.0
    second = bob.takes(TYPE)
    theirs = bob.asks("GET", f"/instance/{second}").json
    assert theirs["hostkeys"] != info["hostkeys"]
    assert bob.ssh(theirs, "ls ~/trace").returncode == 2, "files of one holder are not there for the next"
    assert ada.probe(theirs, "shut") == 0.0
    bob.ends(second)
