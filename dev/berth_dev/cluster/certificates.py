"""TLS of the API in clusters that `up` makes: an authority, a certificate, and the file of authorities for clients."""

import base64
import datetime as dt
import hashlib
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from berth_dev.cluster.pki import Authority, Pair
from berth_dev.errors import ClusterError

SECRET = "berth-api-tls"  # noqa: S105 (a name)
SERVICE = ("berth-api", "berth-api.berth", "berth-api.berth.svc", "berth-api.berth.svc.cluster.local")
LOCAL = ("localhost", "127.0.0.1")
DEBIANS = Path("/etc/ssl/certs/ca-certificates.crt")
SYSTEM_MARK = "# The system's authorities\n"
BUNDLE = "authorities.pem"
MARK = "# The authority of Berth's local cluster\n"
RENEWED_BEFORE = dt.timedelta(days=30)
TRUST_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""Variables that OpenSSL (Python, Rust, curl), requests and pip, curl with precedence, and Node.js read."""


@dataclass(frozen=True)
class Certificate:
    """The API's certificate with its key, and the authority that clients trust."""

    pair: Pair
    authority: Path

    @property
    def digest(self) -> str:
        """Short name of its content."""
        return hashlib.sha256(self.pair.certificate.read_bytes()).hexdigest()[:16]

    def secret(self, namespace: str) -> dict[str, Any]:
        """The Secret that the API mounts."""
        files = {"tls.crt": self.pair.certificate, "tls.key": self.pair.key}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": namespace},
            "type": "kubernetes.io/tls",
            "data": {name: base64.b64encode(file.read_bytes()).decode() for name, file in files.items()},
        }


def ensure(folder: Path, addresses: Sequence[str]) -> Certificate:
    """The certificate in `folder` for addresses and the Service's names; made where there is no usable one."""
    hosts = [*SERVICE, *LOCAL, *addresses]
    present = Certificate(Pair(folder / "api.crt", folder / "api.key"), folder / "ca.crt")
    if not _serves(present, hosts, dt.datetime.now(dt.UTC)):
        Authority(folder, "Berth's local cluster").server("api", hosts=hosts)
    # The key is not used again: another certificate gets another authority.
    (folder / "ca.key").unlink(missing_ok=True)
    return present


def _serves(present: Certificate, hosts: Sequence[str], now: dt.datetime) -> bool:
    """Whether a certificate names these hosts, does not expire soon, and is its authority's."""
    if not all(path.is_file() for path in (present.pair.certificate, present.pair.key, present.authority)):
        return False
    certificate = x509.load_pem_x509_certificate(present.pair.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(present.authority.read_bytes()))
    except (InvalidSignature, ValueError):
        return False
    return {str(name.value) for name in names} == set(hosts) and certificate.not_valid_after_utc > now + RENEWED_BEFORE


def trust(folder: Path, authority: Path) -> dict[str, str]:
    """Write the system's authorities and Berth's into one file; returns the variables that make clients trust it."""
    bundle = folder / BUNDLE
    parts = (_names(os.environ), SYSTEM_MARK, _systems(), MARK, authority.read_text(encoding="ascii"))
    bundle.write_text("".join(parts), encoding="utf-8")
    return dict.fromkeys(TRUST_VARIABLES, str(bundle))


def _names(environment: Mapping[str, str]) -> str:
    """Authorities that variables of this shell name; of an earlier file of Berth's, only the ones taken from them."""
    names = [environment.get("SSL_CERT_FILE"), environment.get("REQUESTS_CA_BUNDLE")]
    texts = [Path(name).read_text(encoding="utf-8") for name in names if name and Path(name).is_file()]
    own = [text.partition(SYSTEM_MARK)[0] if SYSTEM_MARK in text else "" if MARK in text else text for text in texts]
    return "".join(f"{text.strip()}\n" for text in dict.fromkeys(own) if text.strip())


def _systems() -> str:
    """The system's authorities as they are now, whatever the environment names."""
    files = [Path(ssl.get_default_verify_paths().openssl_cafile), DEBIANS]
    bundle = next((file for file in files if file.is_file()), None)
    if bundle is None:
        raise ClusterError("this machine has no file of certificate authorities: install ca-certificates")
    return f"{bundle.read_text(encoding='utf-8').strip()}\n"
