"""Uninstalling with a lease running, and coming back."""

import os
import subprocess

import pytest
from lab import DEPLOYMENT_TYPE, NAMESPACE, Lab, Person

from berth_core import names
from berth_dev.demo import at_an_address, axis

TEMPLATE = {"image": "localhost/berth-workspace:dev", "imagePullPolicy": "IfNotPresent"}


@pytest.mark.release(twin="tests/envtest/cli/test_uninstall.py")
@pytest.mark.timeout(900)
def test_uninstall_ends_leases_and_a_new_install_goes_on_from_what_stayed(lab: Lab, ada: Person) -> None:
    instance = ada.takes(DEPLOYMENT_TYPE)
    info = ada.asks("GET", f"/instance/{instance}").json
    rule = {"src": "203.0.113.7"}
    assert ada.asks("POST", f"/firewall/{instance}", rule, "Idempotency-Key: before the end").status == 200
    assert lab.objects("secrets", "berth.dev/idempotency", "berth-access") != []
    warm = lab.makes_type("warm_to_the_last", TEMPLATE, warm=True)
    waits = names.warm_object(str(lab.get("wd", warm)["status"]["id"]), 1)
    lab.wait(f"pod/{waits}", "create", seconds=60)
    helm(lab, "uninstall", "berth", "-n", "berth", "--wait", "--timeout=120s")
    assert ada.ssh(info, "true").returncode == 255
    assert lab.leftovers(instance) == []
    assert lab.objects("secrets", "berth.dev/idempotency", "berth-access") == []
    history = lab.get("instance", instance)
    assert history["status"]["reason"] == "Terminated"
    assert "finalizers" not in history["metadata"]
    assert all("lease" not in wd["status"] for wd in lab.objects("wd"))
    for kind in ("pods", "services", "secrets", "networkpolicies"):
        assert lab.objects(kind, "berth.dev/warm") == [], "warm objects are gone"
    lab.kubectl("delete", f"wd/{warm}", f"wt/{warm}", "-n", NAMESPACE)
    # The pod of the check before an upgrade stays, for its log.
    running = "app.kubernetes.io/component!=check"
    lab.kubectl("wait", "pods", "-l", running, "-n", "berth", "--for=delete", "--timeout=60s")

    up = subprocess.run(
        [str(lab.python), "-m", "berth_dev", "up"], capture_output=True, text=True, check=False, timeout=300
    )
    assert up.returncode == 0, up.stdout + up.stderr
    assert ada.asks("GET", f"/instance/{instance}").json["status"] == "TERMINATED"
    again = ada.takes(DEPLOYMENT_TYPE)
    ada.ends(again)
    lab.kubectl("delete", "instance", instance, "-n", NAMESPACE, "--timeout=30s")


@pytest.mark.release(twin="tests/e2e/test_main_job.py")
def test_the_tour_plays_to_its_end(lab: Lab, bob: Person) -> None:
    tour = subprocess.run(
        [str(lab.python), "-m", "berth_dev", "demo"],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert tour.returncode == 0, tour.stdout + tour.stderr
    assert f"aboard from {bob.address()}" in tour.stdout
    assert "All matching workspace deployments are busy" in tour.stdout
    assert tour.stdout.rstrip().endswith("removes everything")
    spoken = tour.stdout.partition("A robot at an address of its own")[2]
    assert (spoken.count("'move 10': at "), spoken.count("'move -10': at ")) == (2, 1), "the robot's log, shown twice"
    assert spoken.count(at_an_address.UNHEARD) == 2, "the command, and that nothing answered it"
    lab.kubectl("delete", f"wd/{axis.NAME}", "wt/linear-axis", "-n", NAMESPACE, "--wait=false")


def helm(lab: Lab, *words: str) -> None:
    """Run helm as the administrator."""
    done = subprocess.run(
        [str(lab.helm_program), f"--kubeconfig={lab.kubeconfig}", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
