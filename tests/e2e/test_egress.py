"""Where a workspace gets to: as its type says, and never to the cluster's own parts."""

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from echoing import Echo
from lab import DEPLOYMENT_TYPE, NAMESPACE, Lab, Person
from places import IMAGE, neighbours, netns_by_address

from berth_core.names import MANAGED_BY, MANAGED_BY_LABEL
from berth_dev.cluster.network import HOST_ADDRESS, NETNS_FOLDER, NODES, OUTSIDE, Machine

pytestmark = pytest.mark.nodes

FREE, OTHER = OUTSIDE[2].public, OUTSIDE[1].public
"""Two addresses of the wide world."""
PRIVATE = OUTSIDE[2].address
"""One in the lab's own network, which is not public."""
METADATA = ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192")
PORT = 8080
TRY = 'for t in {}; do (timeout 2 bash -c "</dev/tcp/${{t%:*}}/${{t#*:}}" 2>/dev/null && echo $t) & done; wait'
"""All at once: most are silent, and each of those takes its 2 s."""


@contextmanager
def wide_world() -> Iterator[None]:
    """Something answers at the outside clients' addresses, and on each node at those of metadata services."""
    world = OUTSIDE[1:]
    for node in NODES:
        _ip(node, *(f"address replace {address}/32 dev lo" for address in METADATA))
    for machine in world:
        _ip(machine, *(f"route replace {node.pods} via {node.address}" for node in NODES))
    try:
        with ExitStack() as stack:
            for machine in (*world, *NODES):
                stack.enter_context(Echo(_path(machine), PORT))
            yield
    finally:
        for node in NODES:
            _ip(node, *(f"address delete {address}/32 dev lo" for address in METADATA))
        for machine in world:
            _ip(machine, *(f"route delete {node.pods}" for node in NODES))


@contextmanager
def holding(lab: Lab, person: Person, what: str) -> Iterator[tuple[str, Any]]:
    """An instance of a type or deployment, its id and details; it ends with the block."""
    instance = person.takes(what)
    try:
        yield instance, person.asks("GET", f"/instance/{instance}").json
    finally:
        person.ends(instance)


def reaches(person: Person, info: Any, targets: list[str]) -> set[str]:
    """Targets (``HOST:PORT``) that a TCP connection from the workspace reaches."""
    done = person.ssh(info, TRY.format(" ".join(targets)))
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


CASES: dict[str, tuple[str, list[str], set[str]]] = {
    "open": ("open", [], {FREE, OTHER}),
    "open_more": ("open", [f"{PRIVATE}/32"], {FREE, OTHER, PRIVATE}),
    "shut": ("none", [], set()),
    "some": ("list", [f"{FREE}/32", f"{HOST_ADDRESS}/32", "10.0.0.0/8", *(f"{one}/32" for one in METADATA)], {FREE}),
    "all": ("list", ["0.0.0.0/0"], {FREE, OTHER, PRIVATE}),
}
"""Types by name: their egress, what they allow beside it, and what their workspaces get to."""


def test_workspaces_get_where_their_types_say_and_never_to_the_clusters_own_parts(
    lab: Lab, ada: Person, bob: Person
) -> None:
    for name, (egress, allowed, _) in CASES.items():
        network = {"egress": egress, **({"allowed": allowed} if allowed else {})}
        lab.makes_type(name, {"image": IMAGE, "imagePullPolicy": "IfNotPresent"}, network=network)
    try:
        with wide_world(), neighbours(lab) as pods, holding(lab, bob, DEPLOYMENT_TYPE) as (theirs, their_info):
            lets_everybody_in(lab, bob, theirs)
            with ThreadPoolExecutor(len(CASES)) as pool:
                taken = dict(zip(CASES, pool.map(ada.takes, CASES), strict=True))
            forbidden = own_parts(lab, theirs, their_info)
            # The plain pods have no policy, and the image has a shell: all of it is there to be reached.
            until = time.monotonic() + 10  # what the enforcer has yet to let through
            while (seen := seen_by_a_plain_pod(pods, forbidden)) != set(forbidden):
                assert time.monotonic() < until, f"of {forbidden} a plain pod gets to {seen} only"
            world = [f"{address}:{PORT}" for address in (FREE, OTHER, PRIVATE)]
            for name, (*_, reached) in CASES.items():
                info = ada.asks("GET", f"/instance/{taken[name]}").json
                assert reaches(ada, info, [*world, *forbidden]) == {f"{one}:{PORT}" for one in reached}, name
            for instance in taken.values():
                ada.ends(instance)
    finally:
        lab.kubectl("delete", "wt,wd", *(name.replace("_", "-") for name in CASES), "-n", NAMESPACE)


@pytest.mark.release(twin="tests/envtest/chart/test_walls.py")
def test_what_no_policy_of_its_own_opens_is_closed_to_a_pod_of_berths(lab: Lab) -> None:
    """A script that goes on when its build was deleted, and the policy with it, is such a pod."""
    targets = [f"{FREE}:{PORT}", f"{HOST_ADDRESS}:6443", f"{METADATA[0]}:{PORT}"]
    with wide_world(), neighbours(lab, NAMESPACE, {MANAGED_BY_LABEL: MANAGED_BY}) as pods:
        assert seen_by_a_plain_pod(pods, targets) == set()
        named = [f"pod/knocks-from-{node.name}" for node in NODES]
        lab.kubectl("label", *named, "-n", NAMESPACE, f"{MANAGED_BY_LABEL}-")
        until = time.monotonic() + 10
        while (seen := seen_by_a_plain_pod(pods, targets)) != set(targets):
            assert time.monotonic() < until, f"of {targets} a plain pod gets to {seen} only"


def lets_everybody_in(lab: Lab, person: Person, instance: str) -> None:
    """Add a rule for everybody, and wait until it is in force."""
    assert person.asks("POST", f"/firewall/{instance}", {"src": "0.0.0.0/0"}).status == 200
    rules = [f"fwr/{rule['metadata']['name']}" for rule in lab.objects("fwr") if rule["spec"]["instance"] == instance]
    lab.kubectl("wait", *rules, "-n", NAMESPACE, "--for=condition=InForce", "--timeout=30s")


def own_parts(lab: Lab, other: str, info: Any) -> list[str]:
    """Targets that no workspace may reach: API server, kubelets, metadata, Berth's pods, other instances."""
    ours = json.loads(lab.kubectl("get", "pods", "-n", "berth", "-o", "json"))["items"]
    api = [pod["status"]["podIP"] for pod in ours if "api" in pod["metadata"]["name"]]
    instance = lab.get("pod", f"i-{other}")["status"]["podIP"]
    service = json.loads(lab.kubectl("get", "service", "kubernetes", "-n", "default", "-o", "json"))
    return [
        f"{HOST_ADDRESS}:6443",
        f"{service['spec']['clusterIP']}:443",
        *(f"{node.address}:10250" for node in NODES),
        *(f"{address}:{PORT}" for address in METADATA),
        *(f"{address}:8080" for address in api),
        f"{instance}:22",
        f"{info['fwd']['ipv4']}:{info['fwd']['port']}",
    ]


def seen_by_a_plain_pod(pods: dict[str, str], targets: list[str]) -> set[str]:
    """Targets that a pod without policies reaches: only their silence proves something."""

    found = netns_by_address()
    command = ["nsenter", f"--net={found[next(iter(pods.values()))]}", "bash", "-c", TRY.format(" ".join(targets))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.split())


def _path(machine: Machine) -> Path:
    return NETNS_FOLDER / machine.namespace


def _ip(machine: Machine, *lines: str) -> None:
    subprocess.run(
        machine.command("ip", "-force", "-batch", "-"),
        input="\n".join(lines) + "\n",
        text=True,
        check=False,
        capture_output=True,
    )
