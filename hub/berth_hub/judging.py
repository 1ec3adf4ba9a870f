"""Decides who gets a certificate, who may link, and whose stream may pass. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from berth_core.connectors import certificates, tokens, words
from berth_core.connectors.certificates import GRACE, Facts
from berth_core.connectors.words import Word
from berth_core.resources import Connector, parse_time
from berth_core.resources.connector import CertificateRequest

OLDEST_PROTOCOL: Final = 1
NEWEST_PROTOCOL: Final = 1
"""Versions of the link's protocol that this hub speaks: those of its own release and of the two before it."""
_ANEW: Final = "run `berth connector enroll` and its command on the host"


@dataclass(frozen=True)
class Refusal:
    """An answer other than success; the message tells a person at the host what to do."""

    status: int
    message: str
    reason: str = "Refused"


@dataclass(frozen=True)
class Granted:
    """The certificate that the host is to have."""

    certificate: str


@dataclass(frozen=True)
class Pending:
    """The operator has yet to sign. ``request`` is to be written into the status, unless it stands there already."""

    request: CertificateRequest | None


Outcome = Refusal | Granted | Pending


def enroll(connector: Connector, token: str, request: str, now: datetime) -> Outcome:
    """Decide about a token. The write of ``request`` is a compare-and-swap, so a token is used once."""
    digest, enrolment, status = tokens.digest(token), connector.spec.enrolment, connector.status
    if enrolment is None or enrolment.token_hash != digest or tokens.uid_of(token) != connector.metadata.uid:
        return Refusal(403, f"the token is not valid, or a later one has replaced it: {_ANEW}", "TokenRefused")
    signed, waiting = status.certificate, status.request
    if signed is not None and signed.token_hash == digest:
        if signed.request_hash == certificates.request_hash(request):
            return Granted(signed.pem)
        return Refusal(403, f"the token has been used by another host: {_ANEW}", "TokenUsed")
    if waiting is not None and waiting.token_hash == digest:
        if waiting.request == request:
            return Pending(None)
        return Refusal(403, f"the token has been used by another host: {_ANEW}", "TokenUsed")
    if now >= parse_time(enrolment.expires):
        return Refusal(403, f"the token expired at {enrolment.expires}: {_ANEW}", "TokenExpired")
    try:
        certificates.key_of(request)
    except certificates.RequestError as error:
        return Refusal(400, str(error), "RequestRefused")
    return Pending(CertificateRequest(kind="enroll", request=request, token_hash=digest))


def renew(connector: Connector | None, shown: Facts, now: datetime, latest_half: datetime | None) -> Outcome:
    """Decide about a certificate that TLS has verified but for its dates. ``latest_half``: middle of the latest one."""
    if connector is None:
        return Refusal(403, "this connector was deleted", "Revoked")
    latest = connector.status.certificate
    if latest is None or shown.serial not in (latest.serial, latest.previous):
        return Refusal(403, f"the certificate was replaced by a later enrolment: {_ANEW}", "Revoked")
    if shown.serial != latest.serial or (latest_half is not None and now < latest_half):
        return Granted(latest.pem)
    if now >= shown.end + GRACE:
        return Refusal(403, f"the certificate expired at {shown.end:%Y-%m-%d}, too long ago: {_ANEW}", "Expired")
    waiting = connector.status.request
    if waiting is not None and waiting.kind == "renew" and waiting.serial == latest.serial:
        return Pending(None)
    return Pending(CertificateRequest(kind="renew", serial=latest.serial))


def link(connector: Connector | None, shown: Facts | None, now: datetime, protocol: str) -> Refusal | None:
    """Whether a host may link itself; None where it may."""
    if shown is None:
        return Refusal(401, "a link needs the certificate of a connector")
    if connector is None:
        return Refusal(403, "this connector was deleted", "Revoked")
    latest = connector.status.certificate
    if latest is None or shown.serial not in (latest.serial, latest.previous):
        return Refusal(403, f"the certificate was replaced by a later enrolment: {_ANEW}", "Revoked")
    if not shown.begin <= now < shown.end:
        return Refusal(403, "the certificate has expired: the connector renews it by itself", "Expired")
    number = int(protocol) if protocol.isascii() and protocol.isdigit() and len(protocol) < 6 else 0
    if number < OLDEST_PROTOCOL:
        message = f"this connector is too old (protocol {number}): install the one of this release on the host"
        return Refusal(426, message, "VersionRefused")
    if number > NEWEST_PROTOCOL:
        return Refusal(
            426, f"this connector is newer (protocol {number}) than the hub: upgrade Berth", "VersionRefused"
        )
    return None


def revoked(connector: Connector, serial: str) -> bool:
    """Whether a link that was made with a certificate must end."""
    latest = connector.status.certificate
    return latest is None or serial not in (latest.serial, latest.previous)


def stream(text: str, keys: Mapping[str, Mapping[str, Any]], connectors: Mapping[str, Connector]) -> Word | Refusal:
    """Decide about a word that a stream shows. The connector's fence decides again, by what is on its disk."""
    try:
        word = words.read(text, keys)
    except ValueError as error:
        return Refusal(403, str(error), "WordRefused")
    connector = connectors.get(word.connector)
    if word.does != "open" or connector is None:
        return Refusal(
            403, "there is no such connector" if connector is None else "this word opens nothing", "WordRefused"
        )
    for known in connector.status.words:
        if known.deployment == word.deployment:
            if known.epoch > word.epoch or (known.epoch == word.epoch and known.over):
                return Refusal(409, f"the lease of epoch {word.epoch} has ended", "LeaseOver")
            return word
    return word
