"""The host's key and certificate, and what it trusts. ``openssl`` makes the key and the request for a certificate."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from berth_connector import files, words

HUB_NAME: Final = "hub.berth.internal"
"""Name in the hub's certificate, whatever address leads there."""
MOST_TRUST: Final = 64 * 1024
_SECONDS: Final = 30
_KEY, _REQUEST, _CERTIFICATE, _TRUST, _WHO = "key.pem", "request.pem", "certificate.pem", "trust.json", "connector.json"


class IdentityError(Exception):
    """The host is not enrolled, or its files do not serve; the message says what to do."""


@dataclass(frozen=True)
class Trust:
    """Authority of the hub's certificates, and keys of the operator's words."""

    authority: str
    keys: Mapping[str, int]

    @classmethod
    def parse(cls, content: bytes) -> Trust:
        """Read the document that the hub serves. Raises IdentityError."""
        try:
            document = json.loads(content)
            authority = document["authority"]
            keys = {str(key["kid"]): words.modulus(key) for key in document["keys"]}
            ssl.create_default_context(cadata=authority)
            return cls(authority, keys)
        except (ValueError, KeyError, TypeError, ssl.SSLError) as error:
            raise IdentityError(f"the hub's document of trust cannot be read: {error}") from error


@dataclass(frozen=True)
class Identity:
    """An enrolled host."""

    folder: str
    name: str
    """Name of the Connector."""
    uid: str
    trust: Trust

    @classmethod
    def load(cls, folder: str) -> Identity:
        """Read the files. Raises IdentityError where the host is not enrolled."""
        try:
            trust, who = (files.read(os.path.join(folder, name)) for name in (_TRUST, _WHO))
            if trust is None or who is None or not os.path.exists(os.path.join(folder, _CERTIFICATE)):
                raise IdentityError("this host is not enrolled: run what `berth connector enroll <name>` prints")
            fields = json.loads(who)
            return cls(folder, str(fields["name"]), str(fields["uid"]), Trust.parse(trust))
        except OSError as error:
            raise IdentityError(f"{folder} cannot be read: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise IdentityError(f"{folder}/{_WHO} is damaged: enrol the host anew") from error

    def context(self) -> ssl.SSLContext:
        """Return the context for connections to the hub, with the present certificate. Raises IdentityError."""
        context = verifying(self.trust)
        try:
            context.load_cert_chain(os.path.join(self.folder, _CERTIFICATE), os.path.join(self.folder, _KEY))
        except (OSError, ssl.SSLError) as error:
            raise IdentityError(
                f"the certificate in {self.folder} does not serve: {error}. Enrol the host anew"
            ) from error
        return context

    def dates(self) -> tuple[float, float]:
        """Beginning and end of the certificate, in seconds since the Epoch. Raises IdentityError."""
        path = os.path.join(self.folder, _CERTIFICATE)
        text = _openssl("x509", "-in", path, "-noout", "-startdate", "-enddate").decode()
        fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        return ssl.cert_time_to_seconds(fields["notBefore"]), ssl.cert_time_to_seconds(fields["notAfter"])

    def replace_certificate(self, certificate: str) -> None:
        """Keep a new certificate. Raises IdentityError where it does not belong to the key, which then stays."""
        beside = os.path.join(self.folder, ".received.pem")
        files.replace(beside, certificate.encode())
        try:
            ssl.create_default_context().load_cert_chain(beside, os.path.join(self.folder, _KEY))
        except ssl.SSLError as error:
            raise IdentityError(f"the hub sent a certificate that is not for this host's key: {error}") from error
        files.replace(os.path.join(self.folder, _CERTIFICATE), certificate.encode())


def verifying(trust: Trust) -> ssl.SSLContext:
    """Return a context that trusts the hub's authority and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=trust.authority)
    return context


def pinned(content: bytes, pin: str) -> Trust:
    """Read a document of trust whose SHA-256 the administrator's command has named. Raises IdentityError."""
    digest = hashlib.sha256(content).hexdigest()
    if f"sha256:{digest}" != pin:
        raise IdentityError(
            "the hub at this address is not the one that the command was made for (its document of trust has another"
            " SHA-256): check the address, or ask for a new command"
        )
    return Trust.parse(content)


def prepare(folder: str) -> str:
    """Make the folder, and a key and its request (PEM), which it returns, where there is none. Raises IdentityError."""
    key, request = os.path.join(folder, _KEY), os.path.join(folder, _REQUEST)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if not os.path.exists(request) or not os.path.exists(key):
            files.replace(key, _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"))
            files.replace(request, _openssl("req", "-new", "-key", key, "-subj", "/CN=connector"))
    except OSError as error:
        raise IdentityError(f"{folder} cannot be written: {error}") from error
    return _text(request)


def keep(folder: str, trust: bytes, who: Mapping[str, str], certificate: str) -> None:
    """Keep the outcome of an enrolment; the certificate comes last, and makes it count."""
    files.replace(os.path.join(folder, _TRUST), trust)
    files.replace(os.path.join(folder, _WHO), json.dumps(dict(who)).encode())
    files.replace(os.path.join(folder, _CERTIFICATE), certificate.encode())


def discard_key(folder: str) -> None:
    """Forget the key, so that the next enrolment makes another."""
    for name in (_CERTIFICATE, _REQUEST, _KEY):
        try:
            os.unlink(os.path.join(folder, name))
        except FileNotFoundError:
            continue


def reported(path: str) -> dict[str, Any]:
    """Read what the running connector wrote last; empty where there is nothing."""
    content = files.read(path)
    try:
        document = json.loads(content) if content is not None else {}
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _openssl(*words: str) -> bytes:
    program = shutil.which("openssl")
    if program is None:
        raise IdentityError("openssl is not installed: apt-get install openssl")
    try:
        return subprocess.run(  # noqa: S603 (our own words)
            [program, *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=True
        ).stdout
    except subprocess.CalledProcessError as error:
        raise IdentityError(f"openssl {words[0]} failed: {error.stderr.decode(errors='replace').strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise IdentityError(f"openssl {words[0]} did not end within {_SECONDS} s") from error


def _text(path: str) -> str:
    content = files.read(path)
    if content is None:
        raise IdentityError(f"{path} is missing: enrol the host anew")
    return content.decode()
