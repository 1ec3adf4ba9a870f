"""Compiles rules to the text of one nftables transaction for the table ``inet berth``.

How packets are judged (docs/explanation/firewall.md has the reasons):

- ``input``: replies to connections of the workspace, and packets to the agent's port, pass. The rules judge every
  packet of a connection's original direction, established or not, so that a new rule also cuts connections that
  stand. An ICMP error about an inbound connection is judged by that connection's source.
- ``output``: replies to inbound connections go only to sources that the rules accept. A TCP packet that belongs to
  no known connection and opens none is left from one that was cut: it must not start a new entry, which
  would turn the forbidden peer's packets into "replies". No connection of the workspace reaches metadata services and
  link-local addresses, nor IPv6 addresses that have these inside, whether or not the cluster enforces its
  NetworkPolicy yet; neighbour discovery and resolvers are excepted. The same holds for the networks of machines, in
  which a lease reaches the endpoints of its own machine only (ADR 0049). Once the lease has ended, connections that
  stand there go on until the pod ends, and no new one begins.
- the machine of a lease may connect to the inbound ports that its deployment names; a rule about its address goes
  before that.
- the VPN's tunnel, where there is one: packets from it come from clients that the VPN has admitted, and reach
  everything but the agent's port. (The packets that carry the tunnel are judged as all others.)
- packets without a match are dropped silently, and nothing is forwarded.
- once the lease has ended: as without rules, but established TCP connections end with a reset and not in silence.

The transaction creates, deletes and creates the table again, so loading it replaces all of it or nothing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Final

from berth_core import names
from berth_core.firewall import special
from berth_core.firewall.endpoints import NO_MACHINES, Machines, port_matches
from berth_core.firewall.model import Action, Network, Rule
from berth_core.firewall.verdicts import Verdict, verdicts

_HEAD: Final = "table inet berth\ndelete table inet berth\ntable inet berth {\n"
_NEVER: Final = special.networks(special.NEVER)
_OUT_OF_REACH: Final = (*_NEVER, *(form for network in _NEVER for form in special.forms(network)))
"""Networks of ``special.NEVER``, and the IPv6 addresses that have one of their addresses inside."""
_COMMENT: Final = re.compile(r'^\tcomment "berth e\d+ g\d+ [0-9a-f]{64}"\n', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports that have a meaning of their own in an instance's network namespace."""

    agent: int = names.AGENT_PORT
    """Open to everyone at this layer; mutual TLS and the NetworkPolicy protect it."""
    ssh: int = names.SSH_PORT
    """Target of the operator's path check."""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The inside of an instance's VPN."""

    device: str
    network: IPv4Network
    """Addresses of its clients."""


def compile_ruleset(
    rules: Sequence[Rule],
    *,
    epoch: int,
    generation: int,
    ports: Ports = Ports(),
    operator_sources: Sequence[Network] = (),
    machines: Machines = NO_MACHINES,
) -> str:
    """Return the text for ``nft -f`` that enforces the rules: the first match decides, everything else is dropped.

    A SYN to the ssh port from ``operator_sources`` that no rule matches is answered with ICMP "administratively
    prohibited" (EHOSTUNREACH for IPv4, EACCES for IPv6): the operator learns that packets arrive without getting in.
    """
    body = ruleset_body(rules, ports=ports, operator_sources=operator_sources, machines=machines)
    return stamp(body, epoch, generation)


def closed_ruleset(epoch: int, *, ports: Ports = Ports(), machines: Machines = NO_MACHINES) -> str:
    """Generation 0, in force before the first push. Nobody gets in, and no path check is answered."""
    return compile_ruleset((), epoch=epoch, generation=0, ports=ports, machines=machines)


def stamp(body: str, epoch: int, generation: int) -> str:
    """Return a body with the table comment that identifies it: ``berth e<epoch> g<generation> <digest>``."""
    comment = f'\tcomment "berth e{epoch} g{generation} {digest_of(body)}"\n'
    return body.replace(_HEAD, _HEAD + comment, 1)


def digest_of(ruleset: str) -> str:
    """SHA-256 (hex) of a ruleset without its comment line, so that equal rules have one digest in all generations."""
    return sha256(_COMMENT.sub("", ruleset, count=1).encode()).hexdigest()


def ruleset_body(
    rules: Sequence[Rule],
    *,
    ports: Ports = Ports(),
    operator_sources: Sequence[Network] = (),
    tunnel: Tunnel | None = None,
    machines: Machines = NO_MACHINES,
    ended: bool = False,
) -> str:
    """Return the transaction without its comment, for ``digest_of`` and ``stamp``.

    ``ended``, together with no rules, is for a lease that is over: packets of established TCP connections are answered
    with a reset, and resets get out to their peers. Nobody else is answered, and nobody gets in.
    """
    judged = [verdicts(rules, version) for version in (4, 6)]
    chains = [
        _input(ports, tunnel, _from_machine(machines, "{family} saddr", "dport", ended=ended)),
        _chain("forward", ["type filter hook forward priority filter; policy drop;"]),
        _output(ports, tunnel, _to_machines(machines, ended=ended)),
        _chain("sources", [*_by_source(judged, "{family} saddr", "goto refuse"),
                           *(["meta l4proto tcp ct state established reject with tcp reset"] if ended else [])]),
        _chain("peers", [*_by_source(judged, "ct original {family} saddr", "goto answer"),
                         *_from_machine(machines, "ct original {family} saddr", "sport", ended=ended),
                         *_matches(operator_sources, "ct original {family} saddr", "goto answer"),
                         "goto answer" if ended else "drop"]),
        _chain("path", _matches(operator_sources, "{family} saddr", "reject with icmpx type admin-prohibited")),
        _chain("refuse", ["meta l4proto tcp reject with tcp reset", "reject with icmpx type port-unreachable"]),
        _chain("answer", [
            "tcp flags & rst == rst accept",
            "icmp type destination-unreachable accept",
            "icmpv6 type destination-unreachable accept",
            "drop",
        ]),
    ]  # fmt: skip
    return _HEAD + "".join(chains) + "}\n"


def _input(ports: Ports, tunnel: Tunnel | None, inbound: Iterator[str]) -> str:
    return _chain("input", [
        "type filter hook input priority filter; policy drop;",
        # The holder is root in this network namespace, and could keep the agent busy without this line.
        f'iif "lo" tcp dport {ports.agent} reject with tcp reset',
        'iif "lo" accept',
        *_from_tunnel(ports, tunnel),
        f"tcp dport {ports.agent} accept",
        "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept",
        "ct direction reply ct state { established, related } accept",
        # By number (icmp, ipv6-icmp): a minimal image has no /etc/protocols to look names up in.
        "meta l4proto { 1, 58 } ct state related goto peers",
        "jump sources",
        *inbound,
        f"tcp dport {ports.ssh} tcp flags & (fin | syn | rst | ack) == syn jump path",
    ])  # fmt: skip


def _from_tunnel(ports: Ports, tunnel: Tunnel | None) -> list[str]:
    """Rules for the tunnel by its name, since the interface comes and goes. No NetworkPolicy sees inside a tunnel."""
    if tunnel is None:
        return []
    return [
        f'iifname "{tunnel.device}" tcp dport {ports.agent} reject with tcp reset',
        f'iifname "{tunnel.device}" ip saddr {tunnel.network} accept',
        f'iifname "{tunnel.device}" drop',
    ]


def _to_tunnel(tunnel: Tunnel | None) -> list[str]:
    return [f'oifname "{tunnel.device}" ip daddr {tunnel.network} accept'] if tunnel is not None else []


def _to_machines(machines: Machines, *, ended: bool) -> Iterator[str]:
    """Rules for the networks of machines: the lease's own endpoints, then nothing."""
    if machines.opened is not None:
        standing = "ct state established " if ended else ""
        for ports in port_matches(machines.opened.ports):
            yield from _matches(machines.opened.networks, "{family} daddr", f"{standing}{ports}accept")
    yield from _matches(machines.resolvers, "{family} daddr", "meta l4proto { 6, 17 } th dport 53 accept")
    forms = (form for network in machines.networks for form in special.forms(network))
    yield from _matches((*machines.networks, *forms), "{family} daddr", "drop")


def _from_machine(machines: Machines, source: str, port: str, *, ended: bool) -> Iterator[str]:
    """Accept what the lease's machine sends to an inbound port, or what answers it; and errors about such connections.

    Of an error no port can be matched; it belongs to a connection that came in.
    """
    if machines.opened is not None and machines.inbound and not ended:
        for match in (*port_matches(machines.inbound, port), *(["meta l4proto { 1, 58 } "] if port == "sport" else [])):
            yield from _matches(machines.opened.networks, source, f"{match}accept")


def _output(ports: Ports, tunnel: Tunnel | None, to_machines: Iterator[str]) -> str:
    return _chain("output", [
        "type filter hook output priority filter; policy accept;",
        'oif "lo" accept',
        *_to_tunnel(tunnel),
        f"ct direction reply tcp sport {ports.agent} accept",
        "ct direction reply goto peers",
        "ct state { new, invalid } tcp flags & (fin | syn | rst | ack) != syn drop",
        "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
        *to_machines,
        # A resolver may have a link-local address; the NetworkPolicy limits which one. Protocols by number, as above.
        "meta l4proto { 6, 17 } th dport 53 accept",
        *_matches(_OUT_OF_REACH, "{family} daddr", "drop"),
    ])  # fmt: skip


def _chain(name: str, lines: Sequence[str] | Iterator[str]) -> str:
    return f"\tchain {name} {{\n" + "".join(f"\t\t{line}\n" for line in lines) + "\t}\n"


def _by_source(judged: Sequence[Sequence[Verdict]], field: str, reject: str) -> Iterator[str]:
    """Yield a line for each IP version in the rules: a map from ranges of sources to verdicts.

    A set for each of 200 rules would mean 200 sets to load, and 200 look-ups for each packet.
    """
    meet = {Action.ACCEPT: "accept", Action.DROP: "drop", Action.REJECT: reject}
    for (family, protocol), group in zip((("ip", "ipv4"), ("ip6", "ipv6")), judged, strict=True):
        if group and group[0].everything:
            yield f"meta nfproto {protocol} {meet[group[0].action]}"
        elif group:
            elements = ", ".join(f"{verdict} : {meet[verdict.action]}" for verdict in group)
            yield f"{field.format(family=family)} vmap {{ {elements} }}"


def _matches(networks: Sequence[Network], field: str, verdict: str) -> Iterator[str]:
    """Yield a line for each IP version: packets with ``field`` (with ``{family}``) in the networks get the verdict."""
    four: list[Network] = list(collapse_addresses(n for n in networks if isinstance(n, IPv4Network)))
    six: list[Network] = list(collapse_addresses(n for n in networks if isinstance(n, IPv6Network)))
    for family, protocol, merged in (("ip", "ipv4", four), ("ip6", "ipv6", six)):
        if not merged:
            continue
        if merged[0].prefixlen == 0:
            yield f"meta nfproto {protocol} {verdict}"
        else:
            yield f"{field.format(family=family)} {{ {', '.join(map(str, merged))} }} {verdict}"
