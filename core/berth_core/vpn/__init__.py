"""The VPN of one instance: its certificates, its OpenVPN configuration, and the profiles of its clients.

No I/O and no clock: times are parameters; only keys are drawn here. docs/how-to/vpn.md says what the results guarantee.
"""

from berth_core.vpn.authority import Authority, KeyPair, static_key
from berth_core.vpn.configuration import DEVICE, Protocol, Remote, Tunnel, profile, server_configuration

__all__ = [
    "DEVICE",
    "Authority",
    "KeyPair",
    "Protocol",
    "Remote",
    "Tunnel",
    "profile",
    "server_configuration",
    "static_key",
]
