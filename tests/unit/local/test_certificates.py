"""The API's certificate in clusters that `up` makes, and the file by which clients trust it."""

import ssl
import subprocess
from pathlib import Path

import pytest

from berth_dev.cluster.certificates import MARK, SYSTEM_MARK, TRUST_VARIABLES, ensure, trust
from berth_dev.cluster.pki import Authority

NODES = ["198.18.0.11", "198.18.0.12"]


def stored(bundle: str | Path) -> int:
    """How many certificates OpenSSL reads from a file."""
    return ssl.create_default_context(cafile=bundle).cert_store_stats()["x509"]


def test_a_certificate_is_kept_until_it_no_longer_serves(tmp_path: Path) -> None:
    made = ensure(tmp_path, NODES)
    assert ensure(tmp_path, NODES).digest == made.digest
    first = made.digest
    assert ensure(tmp_path, NODES[:1]).digest != first, "it named another node"
    second = ensure(tmp_path, NODES).digest
    Authority(tmp_path)
    assert ensure(tmp_path, NODES).digest != second, "its authority was another one"
    made.pair.key.unlink()
    third = ensure(tmp_path, NODES).digest
    assert third != second
    secret = made.secret("berth")
    assert not (tmp_path / "ca.key").exists(), "nothing is signed with it again"
    assert (secret["type"], sorted(secret["data"])) == ("kubernetes.io/tls", ["tls.crt", "tls.key"])


def test_names_and_addresses_are_in_it(tmp_path: Path) -> None:
    made = ensure(tmp_path, NODES)
    shown = subprocess.run(
        ["openssl", "x509", "-in", made.pair.certificate, "-noout", "-ext", "subjectAltName"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert {"IP Address:198.18.0.11", "IP Address:198.18.0.12", "DNS:localhost", "DNS:berth-api.berth.svc"} <= {
        word.strip() for word in shown.splitlines()[1].split(",")
    }


def test_clients_trust_the_system_s_authorities_and_berth_s_in_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in TRUST_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    system = ssl.get_default_verify_paths().cafile
    assert system is not None
    authority = ensure(tmp_path / "tls", NODES).authority
    told = trust(tmp_path, authority)
    assert set(told) == set(TRUST_VARIABLES)
    bundle = told["SSL_CERT_FILE"]
    assert stored(bundle) == stored(system) + 1
    once = Path(bundle).read_bytes()
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    trust(tmp_path, authority)
    assert Path(bundle).read_bytes() == once, "a shell that trusts it already adds nothing"


def test_a_shell_that_trusts_it_already_gets_the_system_s_authorities_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in TRUST_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    authority = ensure(tmp_path / "tls", NODES).authority
    bundle = Path(trust(tmp_path, authority)["SSL_CERT_FILE"])
    today = bundle.read_text()
    withdrawn = Authority(tmp_path / "old", "withdrawn").pair.certificate.read_text()
    for before in (
        today.replace(SYSTEM_MARK, SYSTEM_MARK + withdrawn),
        f"{withdrawn}{MARK}{authority.read_text()}",  # as earlier versions wrote it
    ):
        bundle.write_text(before)
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        trust(tmp_path, authority)
        assert bundle.read_text() == today


def test_a_shell_s_own_authorities_stay_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in TRUST_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    authority = ensure(tmp_path / "tls", NODES).authority
    plain = stored(trust(tmp_path, authority)["SSL_CERT_FILE"])
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(Authority(tmp_path / "lab", "lab").pair.certificate))
    assert stored(trust(tmp_path, authority)["REQUESTS_CA_BUNDLE"]) == plain + 1
