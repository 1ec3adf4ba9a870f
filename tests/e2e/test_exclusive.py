"""One holder at a time, whoever asks, wherever, and whatever is killed meanwhile."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from lab import DEPLOYMENT_TYPE, NAMESPACE, Lab, Person
from promised import is_exact

pytestmark = pytest.mark.invariant

CLIENTS = 32
AT_ONCE = 4
"""People at a time: an ssh server that has to do with more of them turns some away, whoever they are."""


def test_of_32_clients_over_two_replicas_one_gets_the_deployment(lab: Lab, ada: Person, tmp_path: Path) -> None:
    def person(number: int) -> Person:
        return replace(lab.person(f"racer{number}", ada.client, tmp_path), api=number % len(lab.apis))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        people = list(pool.map(person, range(CLIENTS)))
    deployment = ada.sees_free()
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(
            pool.map(lambda person: person.asks("POST", f"/new/{deployment}", {"sshkey": person.public_key()}), people)
        )
    winners = [n for n, answer in enumerate(answers) if answer.status == 200]
    assert len(winners) == 1, [answer.text for answer in answers]
    assert all(
        answer.status == 503 and "busy" in answer.json["result_message"] for answer in answers if answer.status != 200
    )

    winner = people[winners[0]]
    instance = answers[winners[0]].json["id"]
    lab.wait(f"instance/{instance}", "condition=Ready")
    info = winner.asks("GET", f"/instance/{instance}").json
    assert winner.ssh(info, "echo", "aboard").stdout == "aboard\n"
    tries = range(CLIENTS) if is_exact() else sorted({*range(0, CLIENTS, AT_ONCE), *winners})
    with ThreadPoolExecutor(AT_ONCE) as pool:
        codes = list(pool.map(lambda n: people[n].ssh(info, "true").returncode, tries))
    assert [n for n, code in zip(tries, codes, strict=True) if code != 255] == winners
    winner.ends(instance)


def test_an_operator_killed_while_it_launches_loses_nothing(lab: Lab, ada: Person) -> None:
    made = ada.asks("POST", f"/new/{DEPLOYMENT_TYPE}", {"sshkey": ada.public_key()})
    kill_leading_operator(lab)
    instance = made.json["id"]
    lab.wait(f"instance/{instance}", "condition=Ready", seconds=60)
    info = ada.asks("GET", f"/instance/{instance}").json
    assert ada.ssh(info, "echo", "aboard").stdout == "aboard\n"
    ada.ends(instance)
    assert lab.leftovers(instance) == []


@pytest.mark.release(twin="tests/sim/test_histories.py")
def test_an_operator_killed_while_it_tears_down_leaves_nothing(lab: Lab, ada: Person) -> None:
    instance = ada.takes(DEPLOYMENT_TYPE)
    deployment = lab.get("instance", instance)["status"]["deployment"]
    epoch = lab.get("wd", deployment)["status"]["epoch"]
    assert ada.asks("POST", f"/terminate/{instance}").status == 200
    kill_leading_operator(lab)
    lab.wait(f"instance/{instance}", "condition=Ended", seconds=60)
    assert lab.leftovers(instance) == []
    status = lab.get("wd", deployment)["status"]
    assert "lease" not in status
    assert status["epoch"] == epoch


@pytest.mark.release(twin="tests/envtest/agent/test_lifecycle.py")
def test_a_killed_agent_comes_back_with_the_same_rules(lab: Lab, ada: Person, bob: Person) -> None:
    instance = ada.takes(DEPLOYMENT_TYPE)
    info = ada.asks("GET", f"/instance/{instance}").json
    kill = ["python3", "-c", "import os; os.kill(1, 15)"]
    # The container may take this command down with it before its exit code is known.
    lab.kubectl("exec", "-n", NAMESPACE, f"i-{instance}", "-c", "agent", "--", *kill, check=False)
    assert bob.probe(info, "shut") == 0.0
    lab.wait(f"pod/i-{instance}", "jsonpath={.status.initContainerStatuses[0].restartCount}=1")
    lab.wait(f"instance/{instance}", "condition=Ready")
    assert ada.ssh(info, "echo", "aboard").stdout == "aboard\n"
    assert bob.probe(info, "shut") == 0.0
    assert ada.asks("POST", f"/firewall/{instance}", {"src": "0.0.0.0/0"}).status == 200
    bob.probe(info, "open")
    ada.ends(instance)


def test_an_api_replica_that_dies_costs_nobody_his_instance(lab: Lab, ada: Person) -> None:
    instance = ada.takes(DEPLOYMENT_TYPE)
    pods = lab.objects("pods", "app.kubernetes.io/component=api", "berth")
    victim = next(pod for pod in pods if pod["status"]["hostIP"] in lab.apis[0])
    lab.kubectl("delete", "pod", victim["metadata"]["name"], "-n", "berth", "--force", "--grace-period=0")
    survivor = replace(ada, api=1)
    info = survivor.asks("GET", f"/instance/{instance}").json
    assert info["status"] == "READY"
    assert survivor.ssh(info, "true").returncode == 0
    survivor.ends(instance)
    lab.kubectl("rollout", "status", "deployment/berth-api", "-n", "berth", "--timeout=60s")


def kill_leading_operator(lab: Lab) -> None:
    """End the leader at once, as a power cut would."""
    leases = json.loads(lab.kubectl("get", "leases", "-n", "berth", "-o", "json"))["items"]
    holder = next(lease["spec"]["holderIdentity"] for lease in leases if "operator" in lease["metadata"]["name"])
    # The identity is the pod's name and a random part: a restarted container is another candidate.
    lab.kubectl("delete", "pod", holder.split("_")[0], "-n", "berth", "--force", "--grace-period=0")
