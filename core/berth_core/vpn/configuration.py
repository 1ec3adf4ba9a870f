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
"""Folder that server and agent share, with the list of revoked clients and the management socket."""
REVOKED: Final = "crl.pem"
MANAGEMENT: Final = "management.sock"
USER, GROUP = "nobody", "nogroup"
"""User and group of the server once it has its tunnel, which it keeps as long as it runs."""
LARGEST: Final = 16
SMALLEST: Final = 28
"""Prefix lengths that a tunnel's network may have."""


class Protocol(StrEnum):
    """Transport protocol of the tunnel."""

    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True)
class Tunnel:
    """Settings that all VPNs of a release share."""

    protocol: Protocol
    network: IPv4Network
    """Addresses inside: the first is the workspace's, the others are clients'."""
    port: int
    """Port of the server in the pod."""

    @property
    def workspace(self) -> IPv4Address:
        """Fixed address of the workspace inside the tunnel."""
        return self.network[1]

    @property
    def places(self) -> int:
        """Number of clients that can be connected at once."""
        return self.network.num_addresses - 3


@dataclass(frozen=True)
class Remote:
    """Address and port of the server from outside."""

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
        # The process has no capabilities, in case that a packet exploits it.
        f"user {USER}",
        f"group {GROUP}",
        "keepalive 5 20",
        "verb 3",
        "",
    ])  # fmt: skip


def profile(tunnel: Tunnel, remote: Remote, *, authority: str, pair: KeyPair, static_key: str) -> str:
    """Profile for ``openvpn --config``, complete with the client's private key."""
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
        # So that the server notices at once that the client has gone; with TCP it does anyway.
        *(["explicit-exit-notify 1"] if udp else []),
        "verb 3",
    ]
    parts = {"ca": authority, "cert": pair.certificate, "key": pair.key, "tls-crypt": static_key}
    inline = [f"<{name}>\n{text.strip()}\n</{name}>" for name, text in parts.items()]
    return "\n".join([*lines, *inline, ""])


_SECURITY: Final = ("tls-version-min 1.2", "data-ciphers AES-256-GCM", "auth SHA256")
