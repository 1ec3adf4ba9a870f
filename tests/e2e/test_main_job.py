"""The main job: exclusive use of a workspace over HTTP and ssh, from outside of the cluster."""

from pathlib import Path

from lab import DEPLOYMENT_TYPE, Lab, Person


def test_the_main_job_from_listing_to_the_second_holder(lab: Lab, ada: Person, bob: Person) -> None:
    assert DEPLOYMENT_TYPE in ada.asks("GET", "/workspaces").json["workspace_types"]
    deployment = ada.sees_free()

    instance = ada.takes(deployment)
    info = ada.asks("GET", f"/instance/{instance}").json
    assert info["status"] == "READY"
    assert info["deployment"] == deployment

    shell = ada.ssh(info, "id -u")
    assert (shell.stdout, shell.returncode) == ("0\n", 0), shell.stderr

    assert bob.probe(info, "shut") == 0.0, "a second address must never have been let in"
    rules = ada.asks("GET", f"/firewall/{instance}").json["rules"]
    assert rules == [[f"{ada.address()}/32", "ACCEPT"]]

    assert ada.asks("POST", f"/firewall/{instance}", {"src": f"{bob.address()}/32"}).status == 200
    assert bob.probe(info, "open") <= 1.5
    assert ada.asks("DELETE", f"/firewall/{instance}").status == 200
    assert ada.asks("GET", f"/firewall/{instance}").json == {"rules": []}
    assert ada.probe(info, "shut") <= 0.5
    assert bob.probe(info, "shut") <= 0.5

    busy = bob.asks("POST", f"/new/{deployment}", {"sshkey": bob.public_key()})
    assert busy.status == 503
    assert busy.json["result_message"] == "All matching workspace deployments are busy. Try again later."

    ada.ends(instance)
    assert ada.asks("GET", f"/instance/{instance}").json["status"] == "TERMINATED"
    assert lab.leftovers(instance) == []
    assert ada.ssh(info, "true").returncode == 255

    second = bob.takes(deployment)
    theirs = bob.asks("GET", f"/instance/{second}").json
    assert bob.ssh(theirs, "echo", "aboard").stdout == "aboard\n"
    assert theirs["hostkeys"] != info["hostkeys"]
    bob.ends(second)


def test_the_source_address_that_asked_is_the_one_that_is_let_in(ada: Person, bob: Person) -> None:
    instance = bob.takes(DEPLOYMENT_TYPE)
    info = bob.asks("GET", f"/instance/{instance}").json
    seen = bob.ssh(info, "echo $SSH_CONNECTION").stdout.split()[0]
    assert seen == bob.address()
    assert bob.asks("GET", f"/firewall/{instance}").json["rules"] == [[f"{seen}/32", "ACCEPT"]]
    assert ada.probe(info, "shut") == 0.0
    bob.ends(instance)


def test_a_key_that_berth_makes_opens_a_shell(ada: Person, tmp_path: Path) -> None:
    made = ada.asks("POST", f"/new/{DEPLOYMENT_TYPE}", {}).json
    instance, private = made["id"], tmp_path / "made-by-berth"
    private.write_text(made["sshkey"])
    private.chmod(0o600)
    ada.lab.wait(f"instance/{instance}", "condition=Ready")
    info = ada.asks("GET", f"/instance/{instance}").json
    assert ada.asks("GET", f"/instance/{instance}/sshkey").json == {"key": made["sshkey"]}
    assert ada.ssh(info, "hostname", key=private).returncode == 0
    assert ada.ssh(info, "hostname").returncode == 255, "another key must not open the shell"
    ada.ends(instance)
    assert ada.asks("GET", f"/instance/{instance}/sshkey").status == 400


def test_reject_answers(ada: Person, bob: Person) -> None:
    instance = ada.takes(DEPLOYMENT_TYPE)
    info = ada.asks("GET", f"/instance/{instance}").json
    assert ada.asks("POST", f"/firewall/{instance}", {"src": bob.address(), "action": "REJECT"}).status == 200
    assert ada.asks("GET", f"/firewall/{instance}").json["rules"][1] == [f"{bob.address()}/32", "REJECT"]
    bob.probe(info, "refused")
    ada.ends(instance)


def test_somebody_elses_instance_does_not_exist(ada: Person, bob: Person) -> None:
    instance = ada.takes(DEPLOYMENT_TYPE)
    for method, path in (
        ("GET", f"/instance/{instance}"),
        ("GET", f"/firewall/{instance}"),
        ("POST", f"/firewall/{instance}"),
        ("DELETE", f"/firewall/{instance}"),
        ("POST", f"/terminate/{instance}"),
        ("GET", f"/instance/{instance}/sshkey"),
    ):
        answer = bob.asks(method, path)
        assert (answer.status, answer.json) == (404, {"error_message": "instance not found"}), (method, path)
    ada.ends(instance)
