"""Rules of a firewall as people write them, and which rule decides. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network
Rule = tuple[str, str]
"""A network in CIDR notation, and an action."""


@dataclass(frozen=True)
class Wanted:
    """Instance of a command (None: the only active one), and its sources; none for the caller's own address."""

    which: str | None
    sources: tuple[str, ...]


def parse(words: Sequence[str]) -> Wanted:
    """Tell the instance from the sources: the first word that is no address or network is an instance.

    >>> parse(["7f3e", "192.0.2.0/24"])
    Wanted(which='7f3e', sources=('192.0.2.0/24',))
    """
    which = words[0] if words and network(words[0]) is None else None
    return Wanted(which, tuple(words[1:] if which is not None else words))


def network(text: str) -> Network | None:
    """Read an address or a network; None where it is neither."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def overruled(rules: Sequence[Rule], source: str, action: str) -> Rule | None:
    """Return an earlier rule that decides differently for the whole of a source; None where there is none.

    >>> overruled([("0.0.0.0/0", "ACCEPT")], "192.0.2.7", "DROP")
    ('0.0.0.0/0', 'ACCEPT')
    """
    new = network(source)
    for src, earlier in rules:
        old = network(src)
        if isinstance(old, IPv4Network) and isinstance(new, IPv4Network):
            covered = new.subnet_of(old)
        else:
            covered = isinstance(old, IPv6Network) and isinstance(new, IPv6Network) and new.subnet_of(old)
        if covered:
            return (src, earlier) if earlier != action else None
    return None
