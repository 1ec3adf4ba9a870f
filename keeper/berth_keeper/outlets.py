"""Outlets that are switched by SNMP, as their Secret has them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from berth_core.firewall.special import Address
from berth_core.machines.reach import Networks
from berth_keeper.secret import (
    DEEDS,
    SNMP,
    STATE,
    UNUSABLE,
    Part,
    UnusableError,
    is_plain,
    literal,
    need_reachable,
    parsed,
)


def _encodable(oid: str) -> str:
    """Return an object's name that a message can have (X.690, 8.19): numbers of 32 bits, the second below 40."""
    first, second, *more = map(int, oid.split("."))
    if (first < 2 and second >= 40) or second >= 2**32 - 80 or any(number >= 2**32 for number in more):
        raise ValueError("no object")
    return oid


Oid = Annotated[
    str, Field(max_length=512, pattern=r"^[0-2](\.(0|[1-9][0-9]{0,9})){1,127}$"), AfterValidator(_encodable)
]
Number = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Passphrase = Annotated[str, Field(min_length=8, max_length=256)]
"""RFC 3414 asks for eight characters at least."""


class Session(Part):
    """Address and credentials of an agent. SNMPv3 signs and encrypts; a community is for v2c, which does neither."""

    address: str
    port: Annotated[int, Field(ge=1, le=65535)] = 161
    user: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    auth: Literal["SHA1", "SHA224", "SHA256", "SHA384", "SHA512"] = "SHA256"
    auth_key: Annotated[Passphrase | None, Field(alias="authKey")] = None
    priv: Literal["AES128", "AES192", "AES256"] = "AES128"
    priv_key: Annotated[Passphrase | None, Field(alias="privKey")] = None
    community: Annotated[str, Field(min_length=1, max_length=256)] | None = None


class Setting(Part):
    """A number that is written to an object."""

    oid: Oid
    value: Number


class StateSetting(Part):
    """An object that shows whether power is on, by one of two numbers."""

    oid: Oid
    on: Number
    off: Number


@dataclass(frozen=True)
class SnmpOutlet:
    """An outlet that is switched by SNMP."""

    requests: Mapping[str, Setting]
    """By deed."""
    session: Session
    address: Address
    state: StateSetting | None


def read(texts: Mapping[str, str], networks: Networks) -> SnmpOutlet:
    """Read the texts of a Secret. Raises UnusableError."""
    session = parsed(Session, SNMP, texts[SNMP])
    address = literal(f"{SNMP}.address", session.address)
    need_reachable(address, networks)
    if session.community is not None:
        if not {session.user, session.auth_key, session.priv_key} <= {None}:
            raise UnusableError(UNUSABLE, "the Secret's key snmp has either a community or a user with keys, not both")
        if not is_plain(texts):
            raise UnusableError(
                UNUSABLE, "the Secret's key snmp.community is for SNMPv2c: use SNMPv3, or set the key plain to true"
            )
    elif None in (session.user, session.auth_key, session.priv_key):
        raise UnusableError(UNUSABLE, "the Secret's key snmp needs user, authKey and privKey (SNMPv3)")
    requests = {deed: parsed(Setting, deed, texts[deed]) for deed in DEEDS if deed in texts}
    state = parsed(StateSetting, STATE, texts[STATE]) if STATE in texts else None
    if state is not None and state.on == state.off:
        raise UnusableError(UNUSABLE, "the Secret's key state has the same number for on and off")
    return SnmpOutlet(requests, session, address, state)
