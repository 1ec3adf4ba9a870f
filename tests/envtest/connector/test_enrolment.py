"""Tokens, certificates and links with a real API server, operator and hub, each with its documented rights."""

import asyncio
import base64
import itertools
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from berth_cli.admin.connectors import enrolment
from berth_cli.admin.connectors.keys import SECRETS
from berth_connector import bundle
from berth_core import names
from berth_core.connectors import certificates
from berth_core.connectors.conditions import AT_REST, CONNECTED, ENROLLED
from berth_core.kube.conditions import find, is_true
from berth_core.kube.connection import connected
from berth_core.kube.model import timestamp
from berth_core.resources import Connector, manifest
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces

from .cluster import CONNECTORS, Cluster, Enrolled

pytestmark = pytest.mark.apiserver


@pytest.fixture
async def cluster(apiserver: ApiServer, namespaces: Namespaces, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with connected("berth-test", str(apiserver.kubeconfig)) as client:
        made = Cluster(apiserver, client, namespaces, tmp_path)
        await made.prepare()
        try:
            yield made
        finally:
            await made.close()


def is_linked(connector: Connector, *replicas: str) -> bool:
    linked = {one.replica for one in connector.status.links}
    return is_true(connector.status.conditions, CONNECTED) and linked >= set(replicas)


async def linked(cluster: Cluster, *replicas: str) -> Enrolled:
    """A host that was enrolled and is linked."""
    host = cluster.host()
    invitation = await cluster.invite()
    status, said = await cluster.enroll(host, invitation)
    assert status == 0, said
    host.start()
    await cluster.until(lambda one: is_linked(one, *replicas))
    return host


async def test_one_command_enrols_a_host_which_links_itself_to_every_replica(cluster: Cluster) -> None:
    cluster.operator()
    for replica in ("berth-hub-0", "berth-hub-1"):
        cluster.hub(replica)
    host = await linked(cluster, "berth-hub-0", "berth-hub-1")
    connector = await cluster.until(lambda one: is_true(one.status.conditions, AT_REST))
    assert is_true(connector.status.conditions, ENROLLED)
    assert connector.status.request is None
    assert connector.status.version == "0.1.0"
    certificate = connector.status.certificate
    assert certificate is not None
    facts = certificates.facts_of(certificate.pem)
    assert facts is not None
    assert (facts.uid, facts.end - facts.begin) == (connector.metadata.uid, certificates.LIFE + timedelta(minutes=10))
    shown = await asyncio.to_thread(_status, host)
    assert shown.returncode == 0, shown.stdout
    assert "berth-hub-0, berth-hub-1" in shown.stdout


def _status(host: Enrolled) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "berth_connector", "status", "--config", str(host.config)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def test_a_token_works_once_and_a_lost_answer_may_be_asked_for_again(cluster: Cluster) -> None:
    cluster.operator()
    cluster.hub()
    invitation = await cluster.invite()
    first, second = cluster.host("first"), cluster.host("second")
    assert (await cluster.enroll(first, invitation))[0] == 0
    certificate = (first.folder / "state" / "certificate.pem").read_text()
    (first.folder / "state" / "certificate.pem").unlink()
    assert (await cluster.enroll(first, invitation))[0] == 0
    assert (first.folder / "state" / "certificate.pem").read_text() == certificate
    status, said = await cluster.enroll(second, invitation)
    assert status == 1
    assert "has been used by another host" in said
    assert not (second.folder / "state" / "certificate.pem").exists()


async def test_of_hosts_that_use_one_token_at_the_same_moment_at_two_replicas_one_is_enrolled(cluster: Cluster) -> None:
    cluster.operator()
    for replica in ("berth-hub-0", "berth-hub-1"):
        cluster.hub(replica)
    invitation = await cluster.invite()
    hubs = itertools.cycle(f"127.0.0.1:{port}" for port in cluster.ports.values())
    hosts = [cluster.host(f"host-{number}") for number in range(4)]
    outcomes = await asyncio.gather(*(cluster.enroll(host, invitation, next(hubs)) for host in hosts))
    assert sorted(status for status, _ in outcomes) == [0, 1, 1, 1], outcomes


async def test_a_token_that_has_expired_or_was_replaced_or_is_of_another_object_is_refused(cluster: Cluster) -> None:
    cluster.operator()
    cluster.hub()
    host = cluster.host()
    old = await cluster.invite()
    new = await cluster.invite()
    assert "a later one has replaced it" in (await cluster.enroll(host, old))[1]
    past = {"spec": {"enrolment": {"expires": timestamp(datetime.now(UTC) - timedelta(seconds=1))}}}
    await cluster.client.patch(CONNECTORS, cluster.namespaces.workspaces, "bench-7", past)
    await cluster.until(lambda one: one.spec.enrolment is not None)
    assert "the token expired" in (await cluster.enroll(host, new))[1]
    latest = await cluster.invite()
    before = await cluster.connector()
    assert before is not None
    await cluster.client.delete(CONNECTORS, cluster.namespaces.workspaces, "bench-7")
    again = manifest(Connector, cluster.namespaces.workspaces, "bench-7", before.spec)
    await cluster.client.create(CONNECTORS, cluster.namespaces.workspaces, again)
    status, said = await cluster.enroll(host, latest)
    assert status == 1
    assert "not valid" in said


async def test_a_hub_that_is_not_the_one_of_the_command_never_sees_the_token(cluster: Cluster) -> None:
    cluster.hub()
    invitation = await cluster.invite()
    heard: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cluster.folder / "tls.crt", cluster.folder / "tls.key")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        body = json.dumps({"authority": "x", "keys": []}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    impostor = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = impostor.sockets[0].getsockname()[1]
    status, said = await cluster.enroll(cluster.host(), invitation, f"127.0.0.1:{port}")
    impostor.close()
    assert status == 1
    assert "is not the one that the command was made for" in said
    assert heard
    assert not any(invitation.token.encode() in one for one in heard)


async def test_an_enrolment_waits_for_the_operator(cluster: Cluster) -> None:
    cluster.hub()
    host, invitation = cluster.host(), await cluster.invite()
    enrolling = asyncio.ensure_future(cluster.enroll(host, invitation))
    await cluster.until(lambda one: one.status.request is not None)
    cluster.operator()
    assert (await enrolling)[0] == 0


async def reissue(cluster: Cluster, host: Enrolled, age: timedelta) -> str:
    """Have the host's latest certificate be one that was signed some time ago; its serial number."""
    connector = await cluster.connector()
    assert connector is not None
    latest = connector.status.certificate
    assert latest is not None
    key = certificates.key_in(latest.pem)
    authority = await cluster.authority()
    pem = certificates.connector(authority, connector.metadata.uid, key, datetime.now(UTC) - age)
    facts = certificates.facts_of(pem)
    assert facts is not None
    changed = latest.model_copy(
        update={
            "pem": pem,
            "serial": facts.serial,
            "not_before": timestamp(facts.begin),
            "not_after": timestamp(facts.end),
        }
    )
    body = {"status": {"certificate": changed.wire()}}
    await cluster.client.patch(CONNECTORS, cluster.namespaces.workspaces, "bench-7", body, subresource="status")
    (host.folder / "state" / "certificate.pem").write_text(pem)
    return facts.serial


@pytest.mark.parametrize("days", [4, 20, 90])
async def test_a_certificate_is_renewed_at_half_of_its_time_and_once_after_its_end(cluster: Cluster, days: int) -> None:
    cluster.operator()
    cluster.hub()
    host, invitation = cluster.host(), await cluster.invite()
    assert (await cluster.enroll(host, invitation))[0] == 0
    old = await reissue(cluster, host, timedelta(days=days))
    host.start()
    connector = await cluster.until(is_linked)
    connector = await cluster.until(lambda one: one.status.certificate and one.status.certificate.serial != old)
    latest = connector.status.certificate
    assert latest is not None
    assert latest.previous == old
    until = time.monotonic() + 20
    while (host.folder / "state" / "certificate.pem").read_text() != latest.pem:
        assert time.monotonic() < until, host.log()
        await asyncio.sleep(0.05)


async def test_a_certificate_that_ended_too_long_ago_or_was_replaced_is_not_renewed(cluster: Cluster) -> None:
    cluster.operator()
    cluster.hub()
    host, invitation = cluster.host(), await cluster.invite()
    assert (await cluster.enroll(host, invitation))[0] == 0
    await reissue(cluster, host, timedelta(days=98))
    host.start()
    until = time.monotonic() + 20
    while "too long ago" not in host.log():
        assert time.monotonic() < until, host.log()
        await asyncio.sleep(0.05)
    host.stop()
    other, again = cluster.host("other"), await cluster.invite()
    assert (await cluster.enroll(other, again))[0] == 0
    (host.folder / "log").write_text("")
    host.start()
    while "replaced by a later enrolment" not in host.log():
        assert time.monotonic() < until + 20, host.log()
        await asyncio.sleep(0.05)
    other.start()
    await cluster.until(is_linked)


async def test_a_new_enrolment_ends_the_link_of_the_host_before_it(cluster: Cluster) -> None:
    cluster.operator()
    cluster.hub()
    first = await linked(cluster)
    other = cluster.host("other")
    assert (await cluster.enroll(other, await cluster.invite()))[0] == 0
    until = time.monotonic() + 10
    while "replaced by a later enrolment" not in first.log():
        assert time.monotonic() < until, first.log()
        await asyncio.sleep(0.05)


async def test_a_killed_replica_leaves_the_status_within_ten_seconds_and_a_gone_host_too(cluster: Cluster) -> None:
    cluster.operator()
    for replica in ("berth-hub-0", "berth-hub-1"):
        cluster.hub(replica)
    host = await linked(cluster, "berth-hub-0", "berth-hub-1")
    await cluster.kill("berth-hub-0")
    begin = time.monotonic()
    connector = await cluster.until(lambda one: [link.replica for link in one.status.links] == ["berth-hub-1"])
    assert time.monotonic() - begin < 10
    assert is_linked(connector)
    host.stop()
    begin = time.monotonic()
    connector = await cluster.until(lambda one: not is_true(one.status.conditions, CONNECTED))
    assert time.monotonic() - begin < 10
    condition = find(connector.status.conditions, CONNECTED)
    assert condition is not None
    assert condition.reason == "LinkLost"


async def test_a_host_does_not_stay_connected_when_no_replica_is_left(cluster: Cluster) -> None:
    cluster.operator()
    cluster.hub()
    await linked(cluster, "berth-hub-0")
    begin = time.monotonic()
    await cluster.kill("berth-hub-0")
    connector = await cluster.until(lambda one: not one.status.links)
    assert time.monotonic() - begin < 14
    condition = find(connector.status.conditions, CONNECTED)
    assert condition is not None
    assert (condition.status, condition.reason) == ("Unknown", "HubSilent")
    cluster.hub()
    await cluster.until(is_linked)


async def test_deletion_cuts_within_a_second_on_every_replica(cluster: Cluster) -> None:
    cluster.operator()
    for replica in ("berth-hub-0", "berth-hub-1"):
        cluster.hub(replica)
    host = await linked(cluster, "berth-hub-0", "berth-hub-1")
    begin = time.monotonic()
    await cluster.client.delete(CONNECTORS, cluster.namespaces.workspaces, "bench-7")
    while host.log().count('"link ended"') < 2:
        assert time.monotonic() - begin < 1.0, host.log()
        await asyncio.sleep(0.01)
    until = time.monotonic() + 20
    while "this connector was deleted" not in host.log():
        assert time.monotonic() < until, host.log()
        await asyncio.sleep(0.05)


async def test_a_link_that_flaps_costs_a_bounded_number_of_writes(cluster: Cluster) -> None:
    cluster.operator()
    cluster.hub()
    host = await linked(cluster)
    begin, before = time.monotonic(), await cluster.connector()
    for _ in range(8):
        host.stop()
        host.start()
        log = len(host.log())
        until = time.monotonic() + 20
        while '"linked"' not in host.log()[max(0, log - 10) :]:
            assert time.monotonic() < until
            await asyncio.sleep(0.02)
    passed = time.monotonic() - begin
    assert before is not None
    text = (await _metrics(cluster)).splitlines()
    (writes,) = [float(line.split()[1]) for line in text if line.startswith("berth_hub_status_writes_total ")]
    assert writes <= 4 + passed / 4 + 1


async def _metrics(cluster: Cluster) -> str:
    port = cluster.health["berth-hub-0"]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    return text


async def test_the_operator_renews_the_hubs_certificate(cluster: Cluster) -> None:
    authority = await cluster.authority()
    old = certificates.hub(authority, datetime.now(UTC) - timedelta(days=16))
    data = {"tls.crt": base64.b64encode(old.certificate.encode()).decode()}
    await cluster.client.patch(SECRETS, cluster.namespaces.release, names.HUB_TLS_SECRET, {"data": data})
    cluster.operator()
    until = time.monotonic() + 20
    while (await cluster.secret(names.HUB_TLS_SECRET))["tls.crt"] == old.certificate.encode():
        assert time.monotonic() < until
        await asyncio.sleep(0.1)
    renewed = await cluster.secret(names.HUB_TLS_SECRET)
    end = certificates.end_of(renewed["tls.crt"])
    assert end is not None
    assert end - datetime.now(UTC) > timedelta(days=29)
    assert renewed["ca.crt"].decode() == authority.pair.certificate


@pytest.fixture
def home() -> Iterator[Path]:
    """The home of a user without rights, who cannot enter the folders of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, 65534, 65534)
        yield Path(folder)


async def test_the_printed_command_enrols_a_host_with_nothing_but_debians_programs(
    cluster: Cluster, home: Path
) -> None:
    cluster.operator()
    cluster.hub()
    invitation = await cluster.invite()
    line = enrolment.command(invitation, bundle.build(), root=False)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", f"cd {home} && {line}"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home)}
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "This host is connector bench-7" in done.stdout
    connector = await cluster.connector()
    assert connector is not None
    kept = (home / ".local/share/berth-connector/certificate.pem").read_text()
    assert connector.status.certificate is not None
    assert kept == connector.status.certificate.pem
    other = enrolment.command(invitation, b"another file", root=False)
    command[-1] = f"cd {home} && {other}"
    refused = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "checksum did NOT match" in refused.stderr
