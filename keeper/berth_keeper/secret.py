"""A relay's Secret as texts, and who may use it. Pure.

No message shows anything of the content but the names of keys.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from berth_core.firewall.special import Address
from berth_core.machines.reach import Networks, why_refused

MISSING: Final = "SecretMissing"
REFUSED: Final = "SecretRefused"
UNUSABLE: Final = "SecretUnusable"
FORBIDDEN: Final = "RelayForbidden"
DEEDS: Final = ("on", "off", "cycle")
STATE: Final = "state"
DEPLOYMENTS: Final = "deployments"
CA: Final = "ca.crt"
PLAIN: Final = "plain"
ADDRESS: Final = "address"
SNMP: Final = "snmp"
KEYS: Final = frozenset({*DEEDS, STATE, DEPLOYMENTS, CA, PLAIN, ADDRESS, SNMP})


class UnusableError(Exception):
    """The relay cannot be worked: a reason of the condition Usable, and a sentence that says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Part(BaseModel):
    """Base of the JSON objects in a Secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


P = TypeVar("P", bound=Part)


def texts_of(data: Mapping[str, str]) -> dict[str, str]:
    """Return the known keys of a Secret's data, as the API server gives it. Raises UnusableError."""
    return {key: _text(key, data[key]) for key in KEYS & data.keys()}


def need_allowed(texts: Mapping[str, str], namespace: str, deployment: str) -> None:
    """Raise UnusableError where the Secret does not name the deployment."""
    allowed = re.split(r"[\s,]+", texts.get(DEPLOYMENTS, "").strip())
    if f"{namespace}/{deployment}" not in allowed:
        raise UnusableError(
            REFUSED,
            f"the Secret is not for this deployment: an administrator adds {namespace}/{deployment} to its key"
            f" {DEPLOYMENTS}",
        )


def is_plain(texts: Mapping[str, str]) -> bool:
    """Whether the Secret permits messages that everybody can read. Raises UnusableError."""
    plain = texts.get(PLAIN, "false").strip()
    if plain not in ("true", "false"):
        raise UnusableError(UNUSABLE, "the Secret's key plain is neither true nor false")
    return plain == "true"


def parsed(kind: type[P], key: str, text: str) -> P:
    """Read a key as a JSON object. Raises UnusableError."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        known = {field.alias or name for name, field in kind.model_fields.items()}
        where = ".".join(map(str, (key, *(part for part in first["loc"][:1] if part in known))))
        raise UnusableError(UNUSABLE, f"the Secret's key {where} cannot be used: {first['type']}") from None


def literal(key: str, text: str) -> Address:
    """Read an address. Raises UnusableError."""
    try:
        return ip_address(text.strip())
    except ValueError as error:
        raise UnusableError(UNUSABLE, f"the Secret's key {key} is no address, such as 192.0.2.60") from error


def need_reachable(address: Address, networks: Networks) -> None:
    """Raise UnusableError for an address that is not connected to."""
    if why := why_refused(address, networks):
        raise UnusableError(FORBIDDEN, f"the relay's address {address} is not connected to, since {why}")


def _text(key: str, value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (ValueError, binascii.Error) as error:
        raise UnusableError(UNUSABLE, f"the Secret's key {key} is no text in UTF-8") from error
