"""Each replica of the API obeys requests to the other: ended tokens, access to deployments, times."""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from lab import DEPLOYMENT_TYPE, NAMESPACE, Lab, Person
from promised import promised

from berth_core import ids

WRONG = {"error_message": "wrong authorization token"}
TEMPLATE = {"image": "localhost/berth-workspace:dev", "imagePullPolicy": "IfNotPresent"}
PROMISED = promised(1)
"""Seconds in which the end of a token reaches every replica."""


def renewed(person: Person, *options: str) -> Person:
    """The same person with another token."""
    return replace(person, token=person.lab.token(person.name, *options))


def elsewhere(person: Person) -> Person:
    """The same person, who asks the other replica."""
    return replace(person, api=1 - person.api)


def refused_in_time(person: Person, since: float) -> None:
    """Ask until the token does not count any more. An answer to what was asked too late must be the refusal."""
    while True:
        asked = time.monotonic()
        answer = person.asks("GET", "/instances")
        if answer.status == 400:
            assert answer.json == WRONG
            return
        assert answer.status == 200
        assert asked - since <= PROMISED, "a token that was ended still counts"


@pytest.fixture
def contended(lab: Lab) -> Iterator[str]:
    """Public id of a deployment of this test's own."""
    name = lab.makes_type("contended", TEMPLATE)
    yield str(lab.get("wd", name)["status"]["id"])
    rules = [f"accessrule/{rule['metadata']['name']}" for rule in lab.objects("accessrules")]
    lab.kubectl("delete", f"wt/{name}", f"wd/{name}", *rules, "-n", NAMESPACE)


def test_a_token_revoked_at_one_replica_is_refused_at_the_other(ada: Person) -> None:
    here = renewed(ada)
    there = elsewhere(here)
    assert there.asks("GET", "/instances").status == 200
    assert here.asks("POST", f"/revoke/{hashlib.sha256(here.token.encode()).hexdigest()}").status == 200
    since = time.monotonic()
    refused_in_time(there, since)
    assert here.asks("GET", "/instances").json == WRONG
    assert elsewhere(ada).asks("GET", "/instances").status == 200, "another token of the same person was ended too"


@pytest.mark.release(twin="tests/envtest/cli/test_tokens.py")
def test_the_command_line_lists_and_ends_a_token(lab: Lab, bob: Person) -> None:
    shown = renewed(bob, "--expires", "1h")
    sha256 = hashlib.sha256(shown.token.encode()).hexdigest()

    def state() -> str:
        tokens = json.loads(lab.berth("token", "list", "--user", bob.name, "--output", "json"))
        return str(next(token["state"] for token in tokens if token["sha256"] == sha256))

    assert state() == "counts"
    assert all(person.asks("GET", "/instances").status == 200 for person in (shown, elsewhere(shown)))
    lab.berth("token", "revoke", "-", stdin=shown.token)
    since = time.monotonic()
    for person in (shown, elsewhere(shown)):
        refused_in_time(person, since)
    assert state() == "revoked"


@pytest.mark.release(twin="tests/envtest/api/test_s3_tokens_purged.py")
def test_a_purge_ends_old_tokens_everywhere_and_new_ones_count(lab: Lab, ada: Person) -> None:
    first, second = (replace(ada, name="purger", token=lab.token("purger")) for _ in range(2))
    assert elsewhere(second).asks("GET", "/instances").status == 200
    assert first.asks("POST", "/purge").status == 200
    since = time.monotonic()
    for old in (first, elsewhere(first), second, elsewhere(second)):
        refused_in_time(old, since)
    new = renewed(first)
    assert [person.asks("GET", "/instances").status for person in (new, elsewhere(new))] == [200, 200]
    lab.kubectl("delete", "account", ids.user_object("purger"), "-n", "berth-access")


@pytest.mark.release(twin="tests/envtest/api/test_s5_access_rules_lockout.py")
def test_access_rules_and_the_lockout_are_obeyed_by_the_other_replica(lab: Lab, ada: Person, contended: str) -> None:
    root = replace(ada, name="root", token=lab.token("root", "--superuser"))
    there = elsewhere(ada)
    path = f"/deployment/{contended}"
    wanted = {"sshkey": ada.public_key()}

    rule = root.asks("POST", f"{path}/rule", {"cap": "CAP_NO_INSTANTIATE", "user": "ada"}).json["rule_id"]
    assert there.asks("POST", f"/new/{contended}", wanted).status == 403
    assert [shown["id"] for shown in there.asks("GET", f"{path}/rules").json["rules"]] == [rule]
    assert root.asks("DELETE", f"{path}/rule/{rule}").status == 200

    assert root.asks("POST", f"{path}/lockout").status == 200
    assert there.asks("POST", f"/new/{contended}", wanted).status == 400
    assert there.asks("GET", path).json["lockout"] is True
    assert root.asks("DELETE", f"{path}/lockout").status == 200

    there.ends(there.takes(contended))


@pytest.mark.release(twin="tests/envtest/api/test_s5_sshkey_ka_extend.py")
def test_an_extension_and_pings_hold_over_replicas_and_their_restart(lab: Lab, ada: Person) -> None:
    instance = ada.takes(DEPLOYMENT_TYPE, keepalive=True, expire_d=600)
    people = (ada, elsewhere(ada))
    before = [person.asks("GET", f"/instance/{instance}").json["expires"] for person in people]
    assert before[0] == before[1]
    expires = elsewhere(ada).asks("POST", f"/instance/{instance}/extend", {"expire_d": 3600}).json["expires"]
    assert expires > before[0]
    assert [person.asks("GET", f"/instance/{instance}").json["expires"] for person in people] == [expires, expires]

    assert ada.asks("POST", f"/instance/{instance}/ka").status == 200
    pinged = lab.get("lease", f"i-{instance}")["spec"]["renewTime"]
    lab.kubectl("rollout", "restart", "deployment/berth-api", "-n", "berth")
    lab.kubectl("rollout", "status", "deployment/berth-api", "-n", "berth", "--timeout=60s")
    assert elsewhere(ada).asks("POST", f"/instance/{instance}/ka").status == 200
    assert lab.get("lease", f"i-{instance}")["spec"]["renewTime"] > pinged
    info = ada.asks("GET", f"/instance/{instance}").json
    assert (info["status"], info["expires"]) == ("READY", expires)
    assert ada.ssh(info, "echo", "aboard").stdout == "aboard\n"
    ada.ends(instance)
