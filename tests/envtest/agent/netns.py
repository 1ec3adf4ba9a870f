"""Network namespaces of a test's own, and sockets that live in them."""

import ctypes
import socket
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def sh(*command: str, check: bool = True) -> str:
    return subprocess.run(command, check=check, capture_output=True, text=True).stdout


class NetNS:
    """A network namespace. Sockets that are made in it stay in it, wherever they are used."""

    _libc = ctypes.CDLL(None, use_errno=True)

    def __init__(self, name: str) -> None:
        self.name = name
        sh("ip", "netns", "add", name)
        self.sh("ip", "link", "set", "lo", "up")

    def sh(self, *command: str, check: bool = True) -> str:
        return sh("nsenter", f"--net=/run/netns/{self.name}", *command, check=check)

    def has_carrier(self, link: str) -> bool:
        return "state UP" in self.sh("ip", "link", "show", link)

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on a thread that lives in the namespace."""
        result: Future[T] = Future()

        def enter() -> None:
            try:
                with open(f"/run/netns/{self.name}", "rb") as handle:
                    if self._libc.setns(handle.fileno(), 0):
                        raise OSError(ctypes.get_errno(), "setns")
                result.set_result(function())
            except BaseException as exc:
                result.set_exception(exc)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        return result.result()

    def open(self, family: int, kind: int, proto: int = 0) -> socket.socket:
        return self.call(lambda: socket.socket(family, kind, proto))

    def connect(self, to: tuple[str, int], *, source: str = "", timeout: float = 2.0) -> socket.socket:
        """TCP connection from an address of this namespace. TimeoutError is silence, ConnectionRefusedError a reset."""
        sock = self.open(socket.AF_INET6 if ":" in to[0] else socket.AF_INET, socket.SOCK_STREAM)
        try:
            # ICMP errors that come while connect() runs, as they do on one machine, are else seen at the next SYN only.
            sock.setsockopt(*((41, 25, 1) if ":" in to[0] else (0, 11, 1)))  # IPV6_RECVERR, IP_RECVERR
            sock.settimeout(timeout)
            if source:
                sock.bind((source, 0))
            sock.connect(to)
        except OSError:
            sock.close()
            raise
        return sock

    def listen(self, port: int, address: str = "::") -> socket.socket:
        sock = self.open(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(1024)
        return sock

    def remove(self) -> None:
        sh("ip", "netns", "del", self.name)
