"""An instance's VPN: /vpn."""
