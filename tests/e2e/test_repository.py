"""Repositories that are cloned into workspaces on the two-node cluster: a real git server, real pods, ssh."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from gitserver import Repository, serving
from lab import DEPLOYMENT_TYPE, NAMESPACE, Lab, Person
from places import netns_by_address

from berth_dev.cluster.network import OUTSIDE

TYPE = "cloning"
TEMPLATE: dict[str, object] = {"image": "localhost/berth-workspace:dev", "imagePullPolicy": "IfNotPresent"}


@dataclass(frozen=True)
class Scene:
    """A repository with two commits."""

    arm: Repository
    first: str
    latest: str


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Iterator[Scene]:
    with serving(OUTSIDE[2]) as server:
        arm = server.repository("arm")
        first = arm.commit({"README": "an arm\n"})
        latest = arm.commit({"src/main.py": "print('it moves')\n"})
        server.repository("private").commit({"README": "a secret\n"})
        yield Scene(arm, first, latest)


@pytest.fixture
def shut_in(lab: Lab) -> Iterator[str]:
    """A type whose workspaces connect to nowhere."""
    yield lab.makes_type(TYPE, TEMPLATE, network={"egress": "none"})
    for kind in ("wd", "wt"):
        lab.kubectl("delete", kind, TYPE, "-n", NAMESPACE, "--ignore-not-found", "--timeout=60s")


def condition(lab: Lab, instance: str) -> tuple[str, str, str]:
    """Status, reason and message of RepositoryReady."""
    conditions = lab.get("instance", instance)["status"]["conditions"]
    (found,) = (one for one in conditions if one["type"] == "RepositoryReady")
    return found["status"], found["reason"], found["message"]


def shell(person: Person, instance: str, command: str) -> str:
    info: Any = person.asks("GET", f"/instance/{instance}").json
    done = person.ssh(info, command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def container_of(lab: Lab, instance: str) -> str:
    """Id of the container that cloned."""
    statuses = lab.get("pod", f"i-{instance}")["status"]["initContainerStatuses"]
    return str(next(one["containerID"] for one in statuses if one["name"] == "repo"))


def end_sandbox(lab: Lab, instance: str) -> None:
    """End the process that holds a pod together, as a node's restart does."""
    eldest = netns_by_address()[lab.get("pod", f"i-{instance}")["status"]["podIP"]].parent.parent
    assert (eldest / "comm").read_text() == "pause\n"
    os.kill(int(eldest.name), signal.SIGKILL)


@pytest.mark.release(twin="tests/envtest/operator/test_repository.py")
def test_the_holder_finds_his_repository_with_its_history_and_works_in_it(lab: Lab, ada: Person, scene: Scene) -> None:
    url = scene.arm.server.http("arm")
    instance = ada.takes(DEPLOYMENT_TYPE, repo={"url": url})
    assert condition(lab, instance) == ("True", "Cloned", f"commit {scene.latest} is checked out")
    assert shell(ada, instance, "python3 /root/arm/src/main.py") == "it moves\n"
    log = shell(ada, instance, "git -C /root/arm log --format=%H")
    assert log.split() == [scene.latest, scene.first]
    assert shell(ada, instance, "cd arm && git status --porcelain --branch && git pull --quiet && stat -c %U:%a .") == (
        "## main...origin/main\nroot:755\n"
    )
    assert shell(ada, instance, "mount | grep -c ' /root/arm '") == "1\n"
    # The cloning container has ended, has left nothing else, and had no access to the cluster.
    assert shell(ada, instance, "ls -A /root/arm | sort | tr '\\n' ' '") == ".git README src "

    # A pod that starts again as a whole clones nothing over what its holder did, and says what it said.
    shell(ada, instance, "echo mine > /root/arm/README")
    container, ready = container_of(lab, instance), lab.readiness(instance)
    end_sandbox(lab, instance)
    lab.wait_again(instance, ready)
    assert container_of(lab, instance) != container, "it has run again"
    assert shell(ada, instance, "cat /root/arm/README") == "mine\n"
    assert condition(lab, instance)[:2] == ("True", "Cloned")
    ada.ends(instance)


@pytest.mark.release(twin="tests/envtest/operator/test_repository.py")
def test_what_cannot_be_cloned_keeps_nobody_from_his_shell(
    lab: Lab, ada: Person, bob: Person, scene: Scene, shut_in: str
) -> None:
    server = scene.arm.server
    denied = ("RepositoryDenied", "with your own credentials")
    wishes: list[tuple[Person, str, str, str, tuple[str, ...]]] = [
        (ada, DEPLOYMENT_TYPE, server.http("none"), "CloneFailed", ("RepositoryNotFound", "correct the URL")),
        (bob, DEPLOYMENT_TYPE, server.http("private"), "CloneFailed", denied),
        (ada, shut_in, server.http("arm"), "Unfit", ("workspaces of this type do not connect to",)),
    ]

    def takes(wish: tuple[Person, str, str, str, tuple[str, ...]]) -> str:
        person, what, url, _, _ = wish
        made = person.asks(
            "POST", f"/new/{what}", {"sshkey": person.public_key(), "repo": {"url": url, "path": "/w/x"}}
        )
        assert made.status == 200, made.text
        lab.wait(f"instance/{made.json['id']}", "condition=Ready", 90)
        return str(made.json["id"])

    with ThreadPoolExecutor(len(wishes)) as pool:
        taken = list(pool.map(takes, wishes))
        for instance, (person, _, url, why, words) in zip(taken, wishes, strict=True):
            status, reason, message = condition(lab, instance)
            assert (status, reason) == ("False", why), url
            assert all(word in message for word in words), message
            # An unfit repository is not tried: there is no folder for it.
            assert shell(person, instance, "ls -A /w/x" if why == "CloneFailed" else "true") == ""
        list(pool.map(ada.ends, (taken[0], taken[2])))
        bob.ends(taken[1])
