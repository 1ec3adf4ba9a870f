"""Decides about a Connector's request for a certificate. Pure."""

from dataclasses import dataclass
from datetime import datetime

from berth_core.connectors import certificates
from berth_core.connectors.certificates import RequestError
from berth_core.connectors.conditions import ENROLLED
from berth_core.kube.conditions import condition, merged
from berth_core.kube.model import timestamp
from berth_core.pki import PublicKey
from berth_core.resources import Connector
from berth_core.resources.connector import ConnectorCertificate, ConnectorStatus


@dataclass(frozen=True)
class Request:
    """A request that is to be signed."""

    key: PublicKey
    token_hash: str
    request_hash: str
    previous: str | None
    """Serial number that goes on counting until it expires; None for an enrolment, which ends all before it."""


def request(connector: Connector) -> Request | str | None:
    """Return what is to be signed, why it is not, or None where nothing was asked for or the request is outdated.

    The hub has checked a token's text. Whether the token is the Connector's latest, and unused, is checked again.
    """
    asked, latest, enrolment = connector.status.request, connector.status.certificate, connector.spec.enrolment
    if asked is None:
        return None
    try:
        if asked.kind == "renew":
            if latest is None or asked.serial != latest.serial:
                return None
            return Request(certificates.key_in(latest.pem), latest.token_hash, latest.request_hash, latest.serial)
        if asked.request is None or asked.token_hash is None or enrolment is None:
            return "the request has no key, or no token is open"
        if asked.token_hash != enrolment.token_hash or (latest is not None and latest.token_hash == asked.token_hash):
            return "the request's token is not the Connector's latest, or it was used before"
        key = certificates.key_of(asked.request)
        return Request(key, asked.token_hash, certificates.request_hash(asked.request), None)
    except RequestError as error:
        return str(error)


def signed(connector: Connector, wanted: Request, pem: str, now: datetime) -> ConnectorStatus:
    """Return the status with a new certificate."""
    facts = certificates.facts_of(pem)
    if facts is None:
        raise ValueError("the certificate is none of a connector")
    certificate = ConnectorCertificate(
        pem=pem,
        serial=facts.serial,
        previous=wanted.previous,
        not_before=timestamp(facts.begin),
        not_after=timestamp(facts.end),
        token_hash=wanted.token_hash,
        request_hash=wanted.request_hash,
    )
    return _with(connector, now, "Signed", "", {"certificate": certificate})


def refused(connector: Connector, why: str, now: datetime) -> ConnectorStatus:
    """Return the status without a request that is not signed. A certificate that was there goes on counting."""
    return _with(connector, now, "RequestRefused", why, {})


def outdated(connector: Connector) -> ConnectorStatus:
    """Return the status without a request that is no longer of interest."""
    return connector.status.model_copy(update={"request": None})


def _with(connector: Connector, now: datetime, reason: str, why: str, fields: dict[str, object]) -> ConnectorStatus:
    has_one = "certificate" in fields or connector.status.certificate is not None
    generation = connector.metadata.generation
    conditions = [condition(ENROLLED, has_one, reason, why, now=now, generation=generation)]
    update = {
        "request": None,
        "observed_generation": generation,
        "conditions": merged(connector.status.conditions, conditions),
        **fields,
    }
    return connector.status.model_copy(update=update)
