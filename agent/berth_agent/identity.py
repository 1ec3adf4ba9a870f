"""The agent's identity (the epoch in its certificate), and its only client (the operator, by name, from our CA)."""

import os
import re
import ssl
from typing import Final

from berth_agent.paths import Paths

OPERATOR: Final = "operator.berth.internal"
_DNS_NAME_TAG: Final = 0x82
_AGENT_NAME: Final = re.compile(rb"e(\d{1,18})\.[iw]-[A-Za-z0-9-]{1,63}\.agent\.berth\.internal")


def own_epoch(paths: Paths) -> int:
    """Epoch from the DNS name in our certificate; ValueError where there is not exactly one such name."""
    with open(os.path.join(paths.secret, "tls.crt"), encoding="ascii") as file:
        pem = file.read()
    first = pem[: pem.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)] if ssl.PEM_FOOTER in pem else pem
    return epoch_in(ssl.PEM_cert_to_DER_cert(first))


def epoch_in(der: bytes) -> int:
    """Epoch from a certificate.

    The standard library decodes only certificates of peers. A DNS name in a subjectAltName is its tag, its length in
    one byte and its text, in the open; the length makes sure that the text is a whole name and not part of one.
    """
    epochs = {
        int(match[1])
        for match in _AGENT_NAME.finditer(der)
        if der[match.start() - 2 : match.start()] == bytes((_DNS_NAME_TAG, len(match[0])))
    }
    if len(epochs) != 1:
        raise ValueError("tls.crt has no DNS name e<epoch>.<pod>.agent.berth.internal, or several")
    return epochs.pop()


def server_context(paths: Paths) -> ssl.SSLContext:
    """TLS 1.3 with a client certificate from our CA; OSError or ssl.SSLError where the files do not serve."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # connections are kept open; tickets would only cost memory
    context.load_cert_chain(os.path.join(paths.secret, "tls.crt"), os.path.join(paths.secret, "tls.key"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(os.path.join(paths.secret, "ca.crt"))
    return context


def is_operator(connection: ssl.SSLSocket) -> bool:
    """Whether the peer's certificate, which the handshake verified, is the operator's and not another agent's."""
    certificate = connection.getpeercert() or {}
    names = certificate.get("subjectAltName", ())
    return ("DNS", OPERATOR) in names
