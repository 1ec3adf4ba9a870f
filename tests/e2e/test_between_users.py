"""Hooks on nodes: what a lab runs between two users, and the machine that fails it."""

from collections.abc import Iterator

import pytest
from lab import NAMESPACE, Lab, Person

TEMPLATE: dict[str, object] = {"image": "localhost/berth-workspace:dev", "imagePullPolicy": "IfNotPresent"}
ENDED_SECONDS = 90
"""For the workspace's pod and those of the hooks, one after the other."""


@pytest.fixture(autouse=True)
def _nothing_stays(lab: Lab) -> Iterator[None]:
    """Take the types of this module away again: one of their machines ends in quarantine."""
    yield
    for kind in ("wd", "wt"):
        lab.kubectl("delete", kind, "cared-for", "ailing", "-n", NAMESPACE, "--ignore-not-found", "--timeout=60s")


def shell(script: str) -> dict[str, object]:
    """Make a hook of a line of shell."""
    return {"command": ["sh", "-c", script], "timeout": 60}


@pytest.mark.release(twin="tests/envtest/operator/test_hooks.py")
def test_a_machine_is_prepared_reset_and_lent_again(lab: Lab, ada: Person, bob: Person) -> None:
    hooks = {"prepare": shell("test $BERTH_HOOK = prepare"), "reset": shell("exit 0"), "healthCheck": shell("exit 0")}
    deployment = lab.makes_type("cared_for", TEMPLATE, hooks=hooks)
    for person in (ada, bob):
        instance = person.takes("cared_for")
        told = {c["type"]: c["status"] for c in lab.get("instance", instance)["status"]["conditions"]}
        assert told["Prepared"] == "True"
        info = person.asks("GET", f"/instance/{instance}").json
        assert person.ssh(info, "echo", "aboard").stdout == "aboard\n"
        person.ends(instance, ENDED_SECONDS)
        told = {c["type"]: c["status"] for c in lab.get("instance", instance)["status"]["conditions"]}
        assert told["Cleaned"] == "True"
        lab.wait(f"wd/{deployment}", "condition=Available")
        assert lab.leftovers(instance) == []
        assert lab.objects("jobs", f"berth.dev/instance={instance}") == []


@pytest.mark.release(twin="tests/envtest/operator/test_hooks.py")
def test_a_machine_that_fails_its_check_is_lent_again_only_when_somebody_says_so(lab: Lab, ada: Person) -> None:
    deployment = lab.makes_type("ailing", TEMPLATE, hooks={"healthCheck": shell("echo the arm is stuck; exit 3")})
    ada.ends(ada.takes("ailing"), ENDED_SECONDS)
    lab.wait(f"wd/{deployment}", "condition=Quarantined")
    refused = ada.asks("POST", "/new/ailing", {"sshkey": ada.public_key()})
    assert refused.status == 503, refused.text
    lab.berth("deployment", "release", deployment, "--reason", "freed by hand")
    lab.wait(f"wd/{deployment}", "condition=Available")
    ada.ends(ada.takes("ailing"), ENDED_SECONDS)
