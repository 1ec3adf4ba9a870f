"""A machine that writes down every byte with the connection that it came by, in the order in which it read them."""

import selectors
import socket
import threading
from dataclasses import dataclass, field

from berth_dev.ports import free_port


@dataclass
class Robot:
    """Answers each byte with itself, unless it is ``mute``."""

    mute: bool = False
    port: int = field(default_factory=free_port)
    log: list[tuple[int, bytes]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    """Connections that have ended, in order."""

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, 0)
        self._open: dict[int, socket.socket] = {}
        self._count = 0
        self._stop = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def connected(self) -> int:
        return len(self._open)

    def lines(self) -> list[str]:
        """Whole lines in the order in which they were finished."""
        halves: dict[int, bytes] = {}
        found: list[str] = []
        for number, data in list(self.log):
            *whole, halves[number] = (halves.get(number, b"") + data).split(b"\n")
            found += [line.decode() for line in whole]
        return found

    def close(self) -> None:
        self._stop = True
        self._thread.join()
        for sock in (*self._open.values(), self._listener):
            sock.close()

    def _run(self) -> None:
        while not self._stop:
            ready = self._selector.select(0.05)
            if any(key.data == 0 for key, _ in ready):
                # Bytes that this machine's kernel has already are older than the connection that comes now.
                for number in list(self._open):
                    self._drain(number)
                self._accept()
            for key, _ in ready:
                if key.data in self._open:
                    self._drain(key.data)

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        sock.setblocking(False)
        self._count += 1
        self._open[self._count] = sock
        self._selector.register(sock, selectors.EVENT_READ, self._count)

    def _drain(self, number: int) -> None:
        sock = self._open[number]
        try:
            while data := sock.recv(65536):
                self.log.append((number, data))
                if not self.mute:
                    sock.send(data)
        except BlockingIOError:
            return
        except OSError:
            pass
        self._selector.unregister(sock)
        sock.close()
        del self._open[number]
        self.ends.append(number)
