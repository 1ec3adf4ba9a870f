"""Builds over HTTP on the two-node cluster: asked for, followed while they run, and what they left behind.

Their commit's status is told to a receiver outside.
"""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import pytest
from builds import recipe
from gitserver import GitServer, serving
from lab import NAMESPACE, Lab, Person

from berth_core import names
from berth_dev.cluster.network import OUTSIDE

pytestmark = pytest.mark.nodes

LINES = 20
TALK = f"for number in {' '.join(map(str, range(1, LINES + 1)))}; do echo line $number; sleep 1; done"
"""Long enough for whoever listens to go and come back."""


@pytest.fixture(scope="module")
def server() -> Iterator[GitServer]:
    with serving(OUTSIDE[2]) as running:
        spoken = running.repository("spoken")
        spoken.commit(recipe(TALK, "mkdir out", "echo 42 > out/answer", artifacts=["out"]))
        spoken.commit(recipe("exit 3"), "fails")
        yield running


class Hub:
    """A receiver of commit statuses, and what it got."""

    def __init__(self, url: str, lines: Iterator[str]) -> None:
        self.url = url
        self._lines = lines

    def got(self) -> dict[str, Any]:
        """The next request."""
        said: dict[str, Any] = json.loads(next(self._lines))
        return said


@pytest.fixture(scope="module")
def hub(lab: Lab) -> Iterator[Hub]:
    machine, port = OUTSIDE[2], 8090
    command = machine.command(sys.executable, str(Path(__file__).with_name("hub.py")), machine.address, str(port))
    url = f"http://{machine.address}:{port}"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert json.loads(next(lines)) == "listening"
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub-token", "namespace": "berth"}}
        content = {"stringData": {"token": "hub-0123456789", "url": f"{url}/repos/lab"}}
        lab.kubectl("apply", "-f", "-", stdin=json.dumps(secret | content))
        try:
            yield Hub(url, lines)
        finally:
            process.terminate()


def tell(lab: Lab, project: str, hub: Hub) -> None:
    """Have a project's builds told to the hub, as an administrator does."""
    (found,) = [one for one in lab.objects("projects") if one["spec"]["name"] == project]
    wanted = {"provider": "gitea", "statusURL": f"{hub.url}/repos/lab/arm/statuses/{{sha}}", "secret": "hub-token"}
    body = json.dumps({"spec": {"commitStatus": wanted}})
    lab.kubectl("patch", "project", found["metadata"]["name"], "-n", NAMESPACE, "--type=merge", "-p", body)


@contextmanager
def following(person: Person, path: str, after: int = 0) -> Iterator[Iterator[tuple[str, str, int]]]:
    """Follow a log as a client does: name, data and id of each event."""
    headers = ("-H", f"Authorization: Bearer {person.token}", *(("-H", f"Last-Event-ID: {after}") if after else ()))
    url = f"{person.lab.apis[person.api]}{path}?follow"
    command = person.inside(["curl", "-sSN", "--max-time", "90", *headers, url])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout is not None
        try:
            yield _events(iter(curl.stdout.readline, ""))
        finally:
            curl.terminate()


def _events(lines: Iterator[str]) -> Iterator[tuple[str, str, int]]:
    for _ in count():
        block = list(takewhile(lambda line: line != "\n", lines))
        if not block:
            return
        fields = dict(line.rstrip("\n").split(": ", 1) for line in block if not line.startswith(":"))
        if fields:
            yield fields.get("event", "message"), fields["data"], int(fields.get("id", 0))


@pytest.mark.release(twin="tests/envtest/api/test_s5_ci_logs.py")
def test_a_build_is_followed_while_it_runs(ada: Person, bob: Person, server: GitServer) -> None:
    body = {"ns": "spoken", "repo_type": "git", "repo_url": server.http("spoken"), "repo_branch": "main"}
    asked = ada.asks("POST", "/ci/new", body)
    assert asked.status == 200, asked.text
    path = f"/ci/project/spoken/job/{asked.json['jid']}"
    seen: list[tuple[str, str, int]] = []
    with following(ada, f"{path}/log") as events:
        for event in events:
            seen.append(event)
            if event[1] == "line 2":
                break
    shown = ada.asks("GET", path).json
    assert shown["status"] == "running", "the lines came only when the build had ended"
    last = seen[-1][2]
    assert "line 2" in ada.asks("GET", f"{path}/log").text.splitlines()
    with following(ada, f"{path}/log", after=last) as events:
        rest = list(events)
    assert rest[0] == ("status", "running", 0)
    assert rest[-2:] == [("status", "passed", 0), ("end", "passed", 0)]
    lines = [event for event in (*seen, *rest) if event[0] == "message"]
    assert [number for _, _, number in lines] == list(range(1, len(lines) + 1))
    whole = ada.asks("GET", f"{path}/log").text
    assert [text for _, text, _ in lines] == whole.splitlines()
    assert whole.splitlines().count(f"line {LINES}") == 1

    shown = ada.asks("GET", path).json
    for method, where in (("GET", ""), ("GET", "/log"), ("GET", "/artifacts"), ("POST", "")):
        answer = bob.asks(method, f"{path}{where}", {"do": "restart"} if method == "POST" else None)
        assert (answer.status, json.loads(answer.text)) == (404, {"error_message": "project not found"})
    data = fetched(ada, f"{path}/artifacts")
    assert (len(data), hashlib.sha256(data).hexdigest()) == (shown["artifacts"]["size"], shown["artifacts"]["sha256"])
    with tarfile.open(fileobj=io.BytesIO(data)) as tarball:
        answer_file = tarball.extractfile("out/answer")
        assert answer_file is not None
        assert answer_file.read() == b"42\n"


def fetched(person: Person, path: str) -> bytes:
    """Body of the answer to a path."""
    url, token = f"{person.lab.apis[person.api]}{path}", f"Authorization: Bearer {person.token}"
    command = person.inside(["curl", "-sS", "--fail", "--max-time", "30", "-H", token, url])
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


@pytest.mark.release(twin="tests/envtest/operator/test_build_statuses.py")
def test_the_status_of_a_commit_is_told_outside(lab: Lab, ada: Person, server: GitServer, hub: Hub) -> None:
    body = {"ns": "told", "repo_type": "git", "repo_url": server.http("spoken"), "repo_branch": "fails"}
    first = ada.asks("POST", "/ci/new", body).json["jid"]
    tell(lab, "told", hub)
    jid = ada.asks("POST", "/ci/project/told/job", {"branch": "fails"}).json["jid"]
    lab.wait(f"build/{jid}", "condition=Ended", 90)
    shown = ada.asks("GET", f"/ci/project/told/job/{jid}").json
    assert (shown["status"], shown["exit_code"]) == ("failed", 3)
    states: list[str] = []
    while not states or states[-1] != "failure":
        said = hub.got()
        assert said["path"] == f"/repos/lab/arm/statuses/{shown['commit']}"
        assert said["token"] == "token hub-0123456789"
        assert said["body"]["context"] == f"berth/{NAMESPACE}/{names.project_object('told')}"
        states.append(said["body"]["state"])
    assert set(states[:-1]) <= {"pending"}
    lab.wait(f"build/{first}", "condition=Ended", 90)
    assert "hub-0123456789" not in lab.kubectl("logs", "-n", "berth", "deploy/berth-notifier")
