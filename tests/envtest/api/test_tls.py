"""TLS in the API process: certificates change while it serves, and real clients verify them."""

import asyncio
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from amount import but_first
from prometheus_client.parser import text_string_to_metric_families
from rerobots.api import APIClient

from berth_api.__main__ import GRACE_SECONDS
from berth_api.tls.listening import HANDSHAKE_SECONDS
from berth_dev.cluster.pki import Authority, Pair

from . import process
from .conftest import TIMEOUT, Setting
from .process import Api
from .signing import Signer
from .world import eventually

pytestmark = pytest.mark.apiserver

HOSTS = ["berth.example.test", "localhost", "127.0.0.1"]


class Mount:
    """A Secret in a pod, as the kubelet keeps it: each version in a folder of its own, behind links."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._versions = 0
        folder.mkdir()

    def put(self, certificate: bytes, key: bytes) -> None:
        """Replace the Secret."""
        self._versions += 1
        version = self.folder / f"..version-{self._versions}"
        version.mkdir()
        (version / "tls.crt").write_bytes(certificate)
        (version / "tls.key").write_bytes(key)
        link = self.folder / "..data_tmp"
        link.symlink_to(version.name)
        link.replace(self.folder / "..data")
        for name in ("tls.crt", "tls.key"):
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")

    def remove(self) -> None:
        """Remove what the Secret holds."""
        (self.folder / "..data").unlink()


@dataclass(frozen=True)
class Secured:
    """An API process with TLS, its Secret, and the authority of its certificates."""

    api: Api
    mount: Mount
    authority: Authority

    @property
    def context(self) -> ssl.SSLContext:
        """Trust of a client: this authority, checked as strictly as Python 3.13 does."""
        context = ssl.create_default_context(cafile=self.authority.pair.certificate)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    def connection(self) -> HTTPSConnection:
        """Open a connection that stays open."""
        connection = HTTPSConnection(urlsplit(self.api.url).netloc, context=self.context, timeout=TIMEOUT)
        connection.connect()
        return connection

    def sign(self, name: str, **options: Any) -> Pair:
        """Make a certificate."""
        return self.authority.server(name, hosts=HOSTS, **options)

    def readiness(self) -> tuple[int, Any]:
        """Status and body of /readyz."""
        answer = httpx.get(f"{self.api.url}/readyz", verify=self.context)
        return answer.status_code, answer.json()

    def metric(self, name: str) -> float:
        """Value of a gauge."""
        families = text_string_to_metric_families(httpx.get(self.api.metrics_url).text)
        return next(family.samples[0].value for family in families if family.name == name)


def shown(connection: HTTPSConnection, field: str) -> str:
    """A field of the certificate that a connection was opened with."""
    certificate = connection.sock.getpeercert()
    assert certificate
    return str(certificate[field])


def serial(connection: HTTPSConnection) -> str:
    return shown(connection, "serialNumber")


def ask(connection: HTTPSConnection) -> int:
    """Send a request over a connection."""
    connection.request("GET", "/workspaces")
    answer = connection.getresponse()
    answer.read()
    return answer.status


def contents(pair: Pair) -> tuple[bytes, bytes]:
    return pair.certificate.read_bytes(), pair.key.read_bytes()


@pytest_asyncio.fixture
async def secured(setting: Setting, tmp_path: Path) -> AsyncIterator[Secured]:
    authority, mount = Authority(tmp_path / "authority"), Mount(tmp_path / "mounted")
    mount.put(*contents(authority.server("first", hosts=HOSTS)))
    settings = setting.environment(BERTH_TLS_DIR=str(mount.folder))
    running = process.running(settings, tmp_path / "api.log", authority=authority.pair.certificate)
    async with process.in_thread(running) as api:
        yield Secured(api, mount, authority)


async def test_a_new_certificate_is_served_without_a_restart_and_open_connections_go_on(secured: Secured) -> None:
    before = secured.connection()
    first = serial(before)
    assert ask(before) == 200
    secured.mount.put(*contents(secured.sign("second", validity=timedelta(days=1))))

    async def is_new() -> bool:
        return serial(secured.connection()) != first

    await eventually(is_new)
    assert (ask(before), serial(before)) == (200, first)
    assert secured.readiness() == (200, {"missing": [], "warnings": []})
    expiry = ssl.cert_time_to_seconds(shown(secured.connection(), "notAfter"))
    assert secured.metric("berth_api_certificate_expiry_timestamp_seconds") == expiry
    assert secured.api.process.poll() is None


BAD: dict[str, Callable[[Secured], object]] = {
    "the key of another certificate": lambda s: s.mount.put(contents(s.sign("a"))[0], contents(s.sign("b"))[1]),
    "one that is not valid yet": lambda s: s.mount.put(*contents(s.sign("early", begins=timedelta(hours=1)))),
    "no certificate at all": lambda s: s.mount.put(b"", contents(s.sign("a"))[1]),
    "an expired one": lambda s: s.mount.put(*contents(s.sign("old", validity=timedelta(minutes=-1)))),
    "nothing": lambda s: s.mount.remove(),
}


@pytest.mark.parametrize("bad", but_first(*BAD, stay=2))
async def test_a_bad_new_certificate_leaves_the_one_before_and_is_told(bad: str, secured: Secured) -> None:
    first = serial(secured.connection())
    BAD[bad](secured)

    async def is_told() -> bool:
        return bool(secured.readiness()[1]["warnings"])

    await eventually(is_told)
    status, ready = secured.readiness()
    assert (status, ready["missing"]) == (200, [])
    (warning,) = ready["warnings"]
    assert "the one before stays" in warning
    assert "Secret" in warning or "tls.crt" in warning
    assert serial(secured.connection()) == first
    assert secured.metric("berth_api_certificate_refused") == 1
    lines = [json.loads(line) for line in secured.api.log.read_text().splitlines()]
    assert [line["level"] for line in lines if "the one before stays" in line["event"]] == ["error"]
    assert "PRIVATE KEY" not in secured.api.log.read_text()
    secured.mount.put(*contents(secured.sign("good")))

    async def is_mended() -> bool:
        return serial(secured.connection()) != first and not secured.readiness()[1]["warnings"]

    await eventually(is_mended)
    assert secured.metric("berth_api_certificate_refused") == 0


async def test_real_clients_verify_by_the_exported_files(secured: Secured, signer: Signer, tmp_path: Path) -> None:
    bundle = {"SSL_CERT_FILE": str(secured.authority.pair.certificate)}
    url, token = secured.api.url, signer.token("a-user-of-this-test-alone")
    await output(bundle, "curl", "-sSf", f"{url}/workspaces")
    told = {"BERTH_API": url, "BERTH_TOKEN": token, "HOME": str(tmp_path)}
    assert json.loads(await output(bundle | told, berth(), "list", "-o", "json")) == []
    by_name = f"https://localhost:{urlsplit(url).port}"
    await output(bundle, "curl", "-sSf", f"{by_name}/workspaces")
    code = (
        "import sys; from rerobots.api import APIClient;"
        " print(APIClient(api_token=sys.argv[2], ignore_env=True, base_uri=sys.argv[1]).get_instances())"
    )
    requests = {"REQUESTS_CA_BUNDLE": bundle["SSL_CERT_FILE"]}
    assert (await output(requests, sys.executable, "-c", code, url, token)).strip() == "[]"
    index = json.loads(await output(bundle, "curl", "-sSf", f"{url}/"))
    assert all(template.startswith(f"{url}/") for template in index.values())


async def test_clients_refuse_the_certificate_of_another_authority(
    secured: Secured, signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the same name, and another key."""
    other = str(Authority(tmp_path / "other").pair.certificate)
    url, token = secured.api.url, signer.token("alice")
    refused = await shell({"SSL_CERT_FILE": other}, "curl", "-sS", f"{url}/workspaces")
    assert (refused.returncode, refused.stdout) == (60, "")
    told = {"BERTH_API": url, "BERTH_TOKEN": token, "BERTH_CA_FILE": other, "HOME": str(tmp_path)}
    command = await shell(told, berth(), "list")
    assert command.returncode == 3
    assert "CERTIFICATE_VERIFY_FAILED" in command.stderr
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", other)
    client = APIClient(api_token=token, ignore_env=True, base_uri=url)
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        await asyncio.to_thread(client.get_instances)


async def test_plain_http_gets_no_answer(secured: Secured) -> None:
    asked = await shell({}, "curl", "-sS", secured.api.url.replace("https:", "http:"))
    assert (asked.returncode != 0, asked.stdout) == (True, "")


async def test_a_client_that_never_says_anything_is_dropped(secured: Secured) -> None:
    address = urlsplit(secured.api.url)
    with socket.create_connection((address.hostname, address.port)) as silent:
        silent.settimeout(HANDSHAKE_SECONDS + TIMEOUT)
        assert await asyncio.to_thread(silent.recv, 1) == b""


async def test_an_idle_connection_does_not_hold_up_the_end(setting: Setting, tmp_path: Path) -> None:
    authority, mount = Authority(tmp_path / "authority"), Mount(tmp_path / "mounted")
    mount.put(*contents(authority.server("only", hosts=HOSTS)))
    settings = setting.environment(BERTH_TLS_DIR=str(mount.folder))
    running = process.running(settings, tmp_path / "api.log", authority=authority.pair.certificate)
    async with process.in_thread(running) as api:
        idle = Secured(api, mount, authority).connection()
        assert ask(idle) == 200
        api.process.terminate()
        await asyncio.to_thread(api.process.wait, GRACE_SECONDS + TIMEOUT)
    assert "graceful shutdown exceeded" not in api.log.read_text(), "it waited for the client until its own time was up"
    idle.close()


@pytest.mark.parametrize("missing", ["tls.crt", "tls.key"])
async def test_without_a_certificate_it_does_not_start_and_says_which(
    missing: str, setting: Setting, tmp_path: Path
) -> None:
    authority, mount = Authority(tmp_path / "authority"), Mount(tmp_path / "mounted")
    mount.put(*contents(authority.server("only", hosts=HOSTS)))
    (mount.folder / missing).resolve().unlink()
    log = tmp_path / "api.log"
    started = process.start(setting.environment(BERTH_TLS_DIR=str(mount.folder)), log)
    try:
        assert await asyncio.to_thread(started.wait, process.START_SECONDS) == 2
    finally:
        started.kill()
    assert f"{missing}" in json.loads(log.read_text().splitlines()[-1])["error"]


def berth() -> str:
    return str(Path(sys.executable).with_name("berth"))


async def shell(environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program that trusts what the environment says and nothing else."""
    program = shutil.which(command[0]) or command[0]
    kept = {"PATH": os.environ["PATH"]} | environment
    return await asyncio.to_thread(
        subprocess.run, [program, *command[1:]], env=kept, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


async def output(environment: dict[str, str], *command: str) -> str:
    """Return what a program prints once it succeeds; run it again while the API is away, as on a busy machine."""
    while (ran := await shell(environment, *command)).returncode:
        assert "503" in ran.stderr or "cannot be reached" in ran.stderr, ran
    return ran.stdout
