"""TLS of the API: the certificate of a mounted Secret, loaded again when it changes.

New connections get the newest certificate that can be used; open ones go on with the one they began with.
"""

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import structlog
from cryptography import x509

from berth_api import metrics

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 2.0
"""Seconds between looks at the files."""


class CertificateError(Exception):
    """The files cannot be used; the message says why and what to mend."""


@dataclass(frozen=True)
class Loaded:
    """A certificate with its key, ready to serve; ``version`` identifies the files, to detect changes."""

    context: ssl.SSLContext
    begins: datetime
    expires: datetime
    version: tuple[int, ...]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Load ``tls.crt`` (the chain, PEM) and ``tls.key`` of a folder. Raises CertificateError."""
        certificate, key = _files(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.num_tickets = 0  # each new connection shows the newest certificate
        context.set_alpn_protocols(["http/1.1"])
        try:
            version = _version(certificate, key)
            # An empty password; else OpenSSL asks the terminal for the password of an encrypted key.
            context.load_cert_chain(certificate, key, password="")
            leaf = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
        except (OSError, ValueError) as error:
            raise CertificateError(
                f"{folder} has no certificate that can be used ({error}): tls.crt takes the chain, and tls.key its key,"
                " in PEM and without a password"
            ) from error
        return cls(context, leaf.not_valid_before_utc, leaf.not_valid_after_utc, version)


class Certificate:
    """The certificate that the API serves with. The former one stays in place of a bad or missing new one."""

    def __init__(self, folder: Path) -> None:
        """Load it. Raises CertificateError."""
        self._folder = folder
        self._current = Loaded.read(folder)
        self._problem: str | None = None
        self.context = self._current.context
        """Listens; each handshake goes on with the newest one."""
        self.context.sni_callback = self._choose
        self._tell()

    async def run(self) -> None:
        """Look for a new one again and again, until cancelled."""
        while True:
            self.look(datetime.now(UTC))
            await asyncio.sleep(LOOK_SECONDS)

    def look(self, now: datetime) -> None:
        """Load the files where they have changed, and log it where they cannot be used."""
        try:
            if not self._unchanged():
                self._use(Loaded.read(self._folder), now)
            problem = None
        except CertificateError as error:
            problem = str(error)
        if problem is not None and problem != self._problem:
            log.error("the new certificate cannot be used, the one before stays", error=problem)
        self._problem = problem
        self._tell()

    def warnings(self, now: datetime) -> Iterator[str]:
        """List faults that an administrator has to mend."""
        if self._problem is not None:
            yield f"the new certificate cannot be used, the one before stays: {self._problem}"
        if self._current.expires <= now:
            yield f"the certificate {_expired(self._current)}"
        if self._current.begins > now:
            yield f"the certificate {_begins(self._current)}"

    def _unchanged(self) -> bool:
        try:
            return _version(*_files(self._folder)) == self._current.version
        except OSError as error:
            raise CertificateError(f"{error}: mend the Secret with the certificate") from error

    def _use(self, new: Loaded, now: datetime) -> None:
        if new.expires <= now:
            raise CertificateError(f"it {_expired(new)}")
        if new.begins > now:
            raise CertificateError(f"it {_begins(new)}")
        self._current = new
        log.info("new certificate", expires=new.expires.isoformat())

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current.context

    def _tell(self) -> None:
        metrics.CERTIFICATE_EXPIRES.set(self._current.expires.timestamp())
        metrics.CERTIFICATE_REFUSED.set(self._problem is not None)


def _files(folder: Path) -> tuple[Path, Path]:
    """Certificate and key; both of the same version, which the kubelet has in a folder of its own behind links."""
    version = (folder / "tls.crt").resolve().parent
    return version / "tls.crt", version / "tls.key"


def _expired(loaded: Loaded) -> str:
    return f"expired at {_time(loaded.expires)}: put another one into its Secret"


def _begins(loaded: Loaded) -> str:
    return f"is not valid before {_time(loaded.begins)}: put one into its Secret that is, or wait until then"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _version(*files: Path) -> tuple[int, ...]:
    stats = [file.stat() for file in files]
    return tuple(number for stat in stats for number in (stat.st_ino, stat.st_mtime_ns, stat.st_size))
