"""Content of a relay's Secret: who may use it, and how the relay is worked. Pure."""

from collections.abc import Mapping

from berth_core.machines.reach import Networks
from berth_keeper import outlets, templates
from berth_keeper.outlets import SnmpOutlet
from berth_keeper.secret import DEEDS, SNMP, UNUSABLE, UnusableError, need_allowed, texts_of
from berth_keeper.templates import HttpRelay

Credentials = HttpRelay | SnmpOutlet


def read(data: Mapping[str, str], namespace: str, deployment: str, networks: Networks) -> Credentials:
    """Read the data of a Secret, as the API server gives it, for a deployment. Raises UnusableError."""
    texts = texts_of(data)
    need_allowed(texts, namespace, deployment)
    if not texts.keys() & set(DEEDS):
        raise UnusableError(UNUSABLE, "the Secret has none of the keys on, off and cycle: add what the relay can do")
    return outlets.read(texts, networks) if SNMP in texts else templates.read(texts, networks)


def need(credentials: Credentials, do: str) -> None:
    """Raise UnusableError where a Secret has no request for a deed."""
    if do not in credentials.requests:
        raise UnusableError(UNUSABLE, f"the Secret has no key {do}: add the request, or ask for another deed")
