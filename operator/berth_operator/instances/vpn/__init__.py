"""The VPN of an instance and its clients."""
