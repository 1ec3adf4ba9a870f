"""Failures during a lease: images, scheduling, crashes, evictions, time."""

from typing import Any

import pytest
from lab import DEPLOYMENT_TYPE, NAMESPACE, Lab, Person
from promised import promised
from shell import Shell


def end_of_lease(moment: str) -> str:
    """Notice of the end for the holder."""
    return f"This lease ends at {moment.replace('T', ' ').removesuffix('Z')} UTC"


def in_force(lab: Lab, instance: str) -> Any:
    """Condition InForce of the only rule of an instance."""
    (rule,) = [rule for rule in lab.objects("fwr") if rule["spec"]["instance"] == instance]
    return next(c for c in rule["status"]["conditions"] if c["type"] == "InForce")


@pytest.mark.release(twin="tests/envtest/operator/test_ending.py")
def test_types_that_cannot_start_fail_with_the_reason(lab: Lab, ada: Person) -> None:
    """At once: each is tried for 20 s."""
    image = {"image": "localhost/berth-workspace:dev"}
    templates: dict[str, tuple[dict[str, object], str]] = {
        "no_such_image": ({"image": "localhost/there-is-no-such-image:dev"}, "image"),
        "no_such_node": (image | {"nodeSelector": {"berth.dev/rack": "nowhere"}}, "schedul"),
    }
    resources = {name: lab.makes_type(name, template) for name, (template, _) in templates.items()}
    asked = {name: ada.asks("POST", f"/new/{name}", {"sshkey": ada.public_key()}).json["id"] for name in templates}
    for name, (_, said) in templates.items():
        lab.wait(f"instance/{asked[name]}", "condition=Ended", seconds=90)
        info = ada.asks("GET", f"/instance/{asked[name]}").json
        assert info["status"] == "INIT_FAIL", name
        assert said in info["message"].lower(), name
        assert lab.leftovers(asked[name]) == []
        lab.wait(f"wd/{resources[name]}", "condition=Available")
    lab.kubectl("delete", "wt,wd", *resources.values(), "-n", NAMESPACE)


def test_a_workspace_that_crashes_comes_back_within_its_lease(lab: Lab, ada: Person) -> None:
    instance = ada.takes(DEPLOYMENT_TYPE)
    info = ada.asks("GET", f"/instance/{instance}").json
    ada.ssh(info, "kill -TERM 1")
    lab.wait(f"pod/i-{instance}", "jsonpath={.status.containerStatuses[0].restartCount}=1")
    lab.wait(f"instance/{instance}", "condition=Ready", seconds=60)
    again = ada.asks("GET", f"/instance/{instance}").json
    assert (again["hostkeys"], again["fwd"]) == (info["hostkeys"], info["fwd"])
    ada.probe(again, "open", seconds=30)
    assert ada.ssh(again, "echo", "aboard").stdout == "aboard\n"
    ada.ends(instance)


@pytest.mark.release(twin="tests/envtest/operator/test_cordoned.py")
def test_a_pod_that_is_evicted_is_made_again_under_the_same_lease(lab: Lab, ada: Person, bob: Person) -> None:
    instance = ada.takes(DEPLOYMENT_TYPE)
    before, shown = lab.get("instance", instance)["status"], in_force(lab, instance)
    ready = lab.readiness(instance)
    lab.kubectl("delete", "pod", f"i-{instance}", "-n", NAMESPACE, "--wait=false")
    lab.wait_again(instance, ready)
    after = lab.get("instance", instance)["status"]
    assert after["epoch"] == before["epoch"]
    assert after["podUid"] != before["podUid"]
    again = in_force(lab, instance)
    assert again["status"] == "True"
    assert again["lastTransitionTime"] > shown["lastTransitionTime"], "the rule said InForce while there was no pod"
    info = ada.asks("GET", f"/instance/{instance}").json
    assert ada.ssh(info, "echo", "aboard").stdout == "aboard\n"
    assert bob.probe(info, "shut") == 0.0
    ada.ends(instance)


@pytest.mark.release(twin="tests/envtest/operator/test_extending.py")
def test_a_lease_says_in_the_shell_when_it_ends_and_ends_then(lab: Lab, ada: Person) -> None:
    instance = ada.takes(DEPLOYMENT_TYPE, expire_d=20)
    info = ada.asks("GET", f"/instance/{instance}").json
    with Shell(ada, info) as shell:
        shell.until_it_shows(end_of_lease(info["expires"]))
        put_off = ada.asks("POST", f"/instance/{instance}/extend", {"expire_d": 21}).json["expires"]
        assert put_off != info["expires"], "else this shows nothing"
        shell.until_it_shows(end_of_lease(put_off))
    lab.wait(f"instance/{instance}", "condition=Ended", seconds=20 + round(promised(20)))
    status = lab.get("instance", instance)["status"]
    assert status["reason"] == "Expired"
    assert lab.leftovers(instance) == []


def test_an_instance_that_is_deleted_is_torn_down_first(lab: Lab, ada: Person) -> None:
    instance = ada.takes(DEPLOYMENT_TYPE)
    info = ada.asks("GET", f"/instance/{instance}").json
    deployment = lab.get("instance", instance)["status"]["deployment"]
    lab.kubectl("delete", "instance", instance, "-n", NAMESPACE, "--timeout=30s")
    assert lab.leftovers(instance) == []
    assert "lease" not in lab.get("wd", deployment)["status"]
    assert ada.ssh(info, "true").returncode == 255


def test_no_secret_shows_in_logs_events_or_status(lab: Lab, ada: Person) -> None:
    made = ada.asks("POST", f"/new/{DEPLOYMENT_TYPE}", {}).json
    lab.wait(f"instance/{made['id']}", "condition=Ready")
    lines = made["sshkey"].splitlines()[1:-1]
    secrets = lab.objects("secrets", f"berth.dev/instance={made['id']}")
    lines += [value for secret in secrets for name, value in secret["data"].items() if not name.endswith(".pub")]
    seen = lab.kubectl("get", "events,instances,wd,services,networkpolicies", "-A", "-o", "json")
    for component in ("api", "operator"):
        selector = f"app.kubernetes.io/component={component}"
        seen += lab.kubectl("logs", "-n", "berth", "-l", selector, "--tail=-1", "--prefix")
    seen += lab.kubectl("logs", "-n", NAMESPACE, f"i-{made['id']}", "-c", "agent")
    assert ada.token not in seen
    assert [line for line in lines if line in seen] == []
    ada.ends(made["id"])
