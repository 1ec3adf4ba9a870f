"""Hosts in URLs and images: names, addresses, and texts that programs read as either of them. Pure."""

import re
from ipaddress import ip_address
from typing import Final

from berth_core.firewall.special import Address

_NUMBER: Final = re.compile("[0-9]+|0x[0-9a-f]*")
_OWN: Final = "localhost"


def address_of(host: str) -> Address | None:
    """Return the address that a host is given by, an IPv6 one with brackets or without; None for a name.

    Raises:
        ValueError: resolvers read it as an address in another notation (``127.1``, ``0x7f.1``, ``2130706433``), or it
            names the machine that resolves it (``localhost``).

    >>> address_of("192.0.2.7")
    IPv4Address('192.0.2.7')

    """
    plain = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ip_address(plain)
    except ValueError:
        address = None
    if address is not None and "%" not in plain:
        return address
    name = plain.rstrip(".").lower()
    last = name.rpartition(".")[2]
    if not name or ":" in name or _NUMBER.fullmatch(last):
        raise ValueError(f"{host} is an address in another notation than 192.0.2.7 or 2001:db8::7")
    if last == _OWN:
        raise ValueError(f"{host} is whichever machine asks for it")
    return None
