"""Whether a TCP socket listens on a port in the pod's network namespace, on an address that others reach."""

from typing import Final

_TABLES: Final = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
_LISTEN: Final = "0A"
_LOOPBACKS: Final = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")


def is_listening(port: int) -> bool:
    """Read the kernel's tables; sockets on the loopback address alone do not count."""
    return any(_in_table(table, f"{port:04X}") for table in _TABLES)


def _in_table(path: str, hex_port: str) -> bool:
    """The kernel lists listening sockets first: stop at the first other, however many connections there are."""
    try:
        with open(path, encoding="ascii") as table:
            next(table, None)
            for line in table:
                _, local, _, state, *_ = line.split(maxsplit=4)
                if state != _LISTEN:
                    return False
                address, _, port = local.rpartition(":")
                if port == hex_port and address not in _LOOPBACKS:
                    return True
    except FileNotFoundError:  # a kernel without IPv6
        return False
    return False
