"""The commits of a real operator follow the lease protocol, by a watch and by an audit log."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from recording import goes_on, recording, versions
from typer.testing import CliRunner

from berth_cli.main import app
from berth_core import ids, names
from berth_core.kube.errors import GoneError
from berth_core.kube.types import Object
from berth_core.trace.commits import Commit
from berth_core.trace.judge import judge
from berth_dev.envtest.apiserver import ApiServer, running
from berth_dev.envtest.puppets import NODES, Puppets, own_addresses
from berth_dev.envtest.testing import apply_crds, make_namespaces
from berth_dev.paths import REPOSITORY

from .conftest import lab_in
from .lab import INSTANCES, LEASES, PODS, RESERVATIONS, TYPES, Lab, condition
from .process import Operators, restricted_kubeconfig

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ApiServer, Path]]:
    """An API server that writes an audit log, by the policy that docs/ has."""
    folder = tmp_path_factory.mktemp("audited")
    with running(folder, audit_policy=REPOSITORY / "docs/how-to/audit-policy.yaml") as server:
        apply_crds(server)
        yield server, folder / "audit.log"


@pytest.fixture(scope="module")
def addresses() -> Iterator[IPv4Address]:
    """The same as in conftest.py, for all tests here."""
    with own_addresses() as first:
        yield first


@pytest.fixture(scope="module")
async def told(
    audited: tuple[ApiServer, Path], addresses: IPv4Address, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Commit], Path]:
    """Trace and audit log of lives of leases: HTTP, a reservation's turn, kubectl, a warm pod."""
    server, log = audited
    namespaces, folder = make_namespaces(server), tmp_path_factory.mktemp("operator")
    async with (
        lab_in(server, namespaces) as lab,
        recording(lab.client, lab.namespace, namespaces.release) as recorder,
    ):
        puppets = Puppets(lab.client, lab.namespace, f"node-of-{lab.namespace}", addresses)
        operators = Operators(restricted_kubeconfig(server, namespaces, folder), namespaces, folder)
        async with puppets.playing():
            address = {"status": {"addresses": [{"type": "InternalIP", "address": "198.51.100.11"}]}}
            await lab.client.patch(NODES, None, puppets.node, address, subresource="status")
            operators.start()
            try:
                # On a busy machine an operator takes its time until it leads.
                await lab.until(LEASES, "berth-operator", bool, namespace=namespaces.release, seconds=120)
                await _lives(lab)
                await recorder.caught_up()
            finally:
                await asyncio.to_thread(operators.stop_all)
    return recorder.trace(), log


async def _lives(lab: Lab) -> None:
    await lab.type()
    await lab.deployment("one")
    first = await lab.claimed("one")
    await _serves(lab, first)
    await lab.reservation("next", workspaceType="bench")
    await _ends(lab, first)
    turn = await lab.until(RESERVATIONS, "next", lambda o: condition(o, "Fulfilled", "status") == "True", seconds=60)
    instance = turn["status"]["grant"]["instance"]
    await _serves(lab, instance)
    await _ends(lab, instance)
    await lab.client.patch(TYPES, lab.namespace, "bench", {"spec": {"warm": True}})
    warm = names.warm_object(ids.deployment_id(lab.namespace, "one"), 3)
    await lab.until(PODS, warm, bool, seconds=60)
    await lab.instance("by-kubectl", workspaceType="bench")
    await _serves(lab, "by-kubectl")
    await _ends(lab, "by-kubectl")


async def _serves(lab: Lab, name: str) -> None:
    await lab.until(INSTANCES, name, lambda o: condition(o, "PodReady", "status") == "True", seconds=60)


async def _ends(lab: Lab, name: str) -> None:
    await lab.client.patch(INSTANCES, lab.namespace, name, {"spec": {"terminate": True}})
    await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True", seconds=60)


def verify(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["audit", "verify", *arguments])
    return done.exit_code, done.output + (str(done.exception) if done.exception else "")


async def test_the_commits_of_real_leases_are_legal(told: tuple[list[Commit], Path]) -> None:
    trace, _ = told
    verdict = judge(trace)

    assert [str(breach) for breach in verdict.breaches] == []
    assert (verdict.taken, verdict.given_back, verdict.bound) == (3, 3, 3)
    assert verdict.served >= 3


async def test_a_trace_in_which_the_lease_goes_before_the_pod_is_refused(told: tuple[list[Commit], Path]) -> None:
    trace, _ = told
    edited = [c for c in trace if not (c.plural == "pods" and c.event == "DELETED")]

    breaches = judge(edited).breaches
    assert {breach.rule for breach in breaches} >= {"nothing-left"}
    assert "was given back while pods/" in str(breaches[0])


async def test_a_trace_with_two_holders_is_refused(told: tuple[list[Commit], Path]) -> None:
    trace, _ = told
    at = next(n for n, c in enumerate(trace) if c.plural == "pods" and c.fields["running"])
    deployment = next(c for c in reversed(trace[:at]) if c.plural == "workspacedeployments")
    other = {**deployment.fields, "lease": {"instance": "another", "user": "eve"}}
    edited = [*trace[: at + 1], replace(deployment, fields=other), *trace[at + 1 :]]

    assert {breach.rule for breach in judge(edited).breaches} >= {"one-holder", "fenced"}


async def test_an_audit_log_of_real_leases_is_legal(told: tuple[list[Commit], Path]) -> None:
    code, text = verify(str(told[1]))

    assert code == 0, text
    assert "3 leases taken, 3 given back, 3 instances bound" in text


async def test_an_audit_log_holds_no_content_of_secrets(told: tuple[list[Commit], Path]) -> None:
    events = [json.loads(line) for line in told[1].read_text().splitlines()]
    about = [event for event in events if event["objectRef"]["resource"] == "secrets"]

    assert about
    assert not [event for event in about if "requestObject" in event or "responseObject" in event]


async def test_an_edited_audit_log_is_refused(told: tuple[list[Commit], Path], tmp_path: Path) -> None:
    lines = told[1].read_text().splitlines()
    kept = [line for line in lines if not _lets_a_pod_go(json.loads(line))]
    assert len(kept) < len(lines)
    edited = tmp_path / "audit.log"
    edited.write_text("\n".join(kept))

    code, text = verify(str(edited))
    assert code != 0
    assert "was given back while pods/" in text
    assert "look at: pods/" in text


def _lets_a_pod_go(event: dict[str, Any]) -> bool:
    """Whether a pod is gone with this write: of a lease, with our finalizer, or by its deletion."""
    reference = event["objectRef"]
    return reference["resource"] == "pods" and "subresource" not in reference and event["verb"] in ("patch", "delete")


async def test_a_recorder_goes_on_at_a_new_api_server_only_where_it_has_missed_nothing(apiserver: ApiServer) -> None:
    namespaces = make_namespaces(apiserver)
    async with lab_in(apiserver, namespaces) as lab:
        client, namespace = lab.client, lab.namespace
        await client.create(PODS, namespace, _pod("one"))
        seen, begun = await client.list(PODS, namespace)
        gone = GoneError(f"too old resource version: 1 ({begun})")
        await client.create(PODS, namespace, _pod("two"))  # the new one knows of this: it is no gap
        assert await goes_on(client, PODS, namespace, gone, versions(seen)) == begun
        with pytest.raises(RuntimeError, match="commits of pods are missing"):
            await goes_on(client, PODS, namespace, gone, {})


def _pod(name: str) -> Object:
    container = {"name": "main", "image": "registry.example/none:1"}
    spec = {"containers": [container], "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
