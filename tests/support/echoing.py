"""A server for tests that echoes, over TCP and UDP, in a network namespace of somebody else's.

``with Echo(netns, port)``: it listens on all addresses of both IP versions there, or on one.
"""

import select
import socket
import threading
from pathlib import Path

from knocking import inside


class Echo:
    """Runs on a thread of this process until the ``with`` block ends; closes all its connections then."""

    def __init__(self, netns: Path, port: int, address: str = "::") -> None:
        self._tcp = inside(netns, lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM))
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._tcp.bind((address, port))
        self._tcp.listen(1024)
        self._udp = inside(netns, lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        self._udp.bind((address, port))
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Echo":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.close()
        self._thread.join()

    def _serve(self) -> None:
        peers: list[socket.socket] = []
        while self._stopped not in (ready := select.select([self._stopped, self._tcp, self._udp, *peers], [], [])[0]):
            for sock in ready:
                if sock is self._tcp:
                    peers.append(sock.accept()[0])
                elif sock is self._udp:
                    self._echo_datagram()
                elif not _echo(sock):
                    peers.remove(sock)
                    sock.close()
        for sock in (*peers, self._tcp, self._udp, self._stopped):
            sock.close()

    def _echo_datagram(self) -> None:
        try:
            word, peer = self._udp.recvfrom(1500)
            self._udp.sendto(word, peer)
        except OSError:
            return  # a reply to a peer that is forbidden by now is not let out


def _echo(sock: socket.socket) -> bool:
    """Echo what is there; False when the connection is over."""
    try:
        word = sock.recv(1500)
        sock.sendall(word)
    except OSError:
        return False
    return bool(word)
