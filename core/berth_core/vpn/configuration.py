"""Texts that OpenVPN reads: the server's configuration and the profile of a client. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from berth_core.vpn.authority import KeyPair

DEVICE: Final = "berth-vpn"
"""Name of the tunnel's interface in the pod; the firewall's rules name it."""
SECRET_PLACE: Final = "/etc/berth-vpn"  # noqa: S105 (a folder)
RUN_PLACE: Final = "/run/berth-vpn"
"""What the server and the agent share: the list of revoked clients and the management socket."""
REVOKED: Final = "crl.pem"
MANAGEMENT: Final = "management.sock"
USER, GROUP = "nobody", "nogroup"
"""Of the server once it has its tunnel, which it keeps as long as it runs."""
LARGEST: Final = 16
SMALLEST: Final = 28
"""Prefix lengths that a tunnel's network may have."""


class Protocol(StrEnum):
    """What carries the tunnel."""

    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True)
class Tunnel:
    """What all VPNs of a release have in common."""

    protocol: Protocol
    network: IPv4Network
    """Addresses inside: the first is the workspace's, the others are clients'."""
    port: int
    """Where the server listens in the pod."""

    @property
    def workspace(self) -> IPv4Address:
        """Fixed address of the workspace inside the tunnel."""
        return self.network[1]

    @property
    def places(self) -> int:
        """How many clients can be connected at once."""
        return self.network.num_addresses - 3


@dataclass(frozen=True)
class Remote:
    """Where clients find the server from outside."""

    address: str
    port: int


def parse_network(text: str) -> IPv4Network:
    """Read a tunnel's network; ValueError says what it must be."""
    network = IPv4Network(text)
    if not LARGEST <= network.prefixlen <= SMALLEST:
        raise ValueError(f"the VPN's network {text} must be an IPv4 subnet from /{LARGEST} to /{SMALLEST}")
    return network


def server_configuration(tunnel: Tunnel) -> str:
    """Configuration of the server. Keys and certificates are files beside it."""
    protocol = "udp" if tunnel.protocol is Protocol.UDP else "tcp-server"
    return "\n".join([
        f"dev {DEVICE}",
        "dev-type tun",
        "topology subnet",
        f"server {tunnel.network.network_address} {tunnel.network.netmask}",
        f"port {tunnel.port}",
        f"proto {protocol}",
        f"max-clients {tunnel.places}",
        "client-to-client",
        # Traffic between clients stays inside of the process: in the kernel the firewall would drop it as forwarded.
        "disable-dco",
        f"ca {SECRET_PLACE}/ca.crt",
        f"cert {SECRET_PLACE}/server.crt",
        f"key {SECRET_PLACE}/server.key",
        f"tls-crypt {SECRET_PLACE}/tls-crypt.key",
        f"crl-verify {RUN_PLACE}/{REVOKED}",
        "dh none",
        *_SECURITY,
        "remote-cert-tls client",
        "verify-client-cert require",
        f"management {RUN_PLACE}/{MANAGEMENT} unix",
        # The container's root is read-only.
        f"tmp-dir {RUN_PLACE}",
        "script-security 1",
        "persist-key",
        "persist-tun",
        # Whoever may do something with a packet that it reads finds a process without a capability.
        f"user {USER}",
        f"group {GROUP}",
        "keepalive 5 20",
        "verb 3",
        "",
    ])  # fmt: skip


def profile(tunnel: Tunnel, remote: Remote, *, authority: str, pair: KeyPair, static_key: str) -> str:
    """Profile that ``openvpn --config`` connects with as it is; it has the client's private key in it."""
    udp = tunnel.protocol is Protocol.UDP
    lines = [
        "client",
        "dev tun",
        f"proto {'udp4' if udp else 'tcp4-client'}",
        f"remote {remote.address} {remote.port}",
        "nobind",
        "remote-cert-tls server",
        *_SECURITY,
        "connect-retry 1 10",
        "server-poll-timeout 10",
        "persist-key",
        "persist-tun",
        # So that the server notices at once that the client has gone; TCP says it by itself.
        *(["explicit-exit-notify 1"] if udp else []),
        "verb 3",
    ]
    parts = {"ca": authority, "cert": pair.certificate, "key": pair.key, "tls-crypt": static_key}
    inline = [f"<{name}>\n{text.strip()}\n</{name}>" for name, text in parts.items()]
    return "\n".join([*lines, *inline, ""])


_SECURITY: Final = ("tls-version-min 1.2", "data-ciphers AES-256-GCM", "auth SHA256")
