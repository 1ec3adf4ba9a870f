"""Devices of this node: what the kernel tells of them, their names, and which of them are unplugged."""
