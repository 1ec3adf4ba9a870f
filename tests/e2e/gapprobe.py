"""Tries to connect, again and again, where it must not get in: ``gapprobe.py`` with lines ``HOST PORT`` on its input.

Each line adds a target; one SYN goes to each every 5 ms from then on. Prints ``in HOST PORT SECONDS`` for each
connection that comes about, with the time on the machine's monotonic clock when its SYN was sent. When its input ends,
it prints ``tried COUNT, longest pause SECONDS``. Standard library only, since it runs at the address of an outside
client.
"""

import os
import selectors
import socket
import sys
import time

EVERY = 0.005
PATIENCE = 0.3
Target = tuple[str, int]


def main() -> int:
    """Probe until the input ends."""
    open_sockets, targets = selectors.DefaultSelector(), list[Target]()
    waiting: dict[socket.socket, tuple[float, Target]] = {}
    words, last, count, pause = b"", None, 0, 0.0
    os.set_blocking(0, False)
    while True:
        now = time.monotonic()
        try:
            more = os.read(0, 4096)
            if not more:
                break
            words += more
        except BlockingIOError:
            pass
        *lines, words = words.split(b"\n")
        targets += [(host.decode(), int(port)) for host, port in map(bytes.split, lines)]
        if targets and last is not None:
            pause = max(pause, now - last)
        last = now if targets else None
        for target in targets:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.connect_ex(target)
            open_sockets.register(sock, selectors.EVENT_WRITE)
            waiting[sock] = (now, target)
            count += 1
        while (left := now + EVERY - time.monotonic()) > 0:
            for key, _ in open_sockets.select(left):
                judge(open_sockets, waiting, key.fileobj)
        for sock in [sock for sock, (since, _) in waiting.items() if now - since > PATIENCE]:
            forget(open_sockets, waiting, sock)
    print(f"tried {count}, longest pause {pause:.3f}", flush=True)
    return 0


def judge(
    open_sockets: selectors.BaseSelector, waiting: dict[socket.socket, tuple[float, Target]], sock: object
) -> None:
    """Say so where a connection came about."""
    assert isinstance(sock, socket.socket)
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
        since, (host, port) = waiting[sock]
        print(f"in {host} {port} {since:.3f}", flush=True)
    forget(open_sockets, waiting, sock)


def forget(
    open_sockets: selectors.BaseSelector, waiting: dict[socket.socket, tuple[float, Target]], sock: socket.socket
) -> None:
    """Give a try up."""
    open_sockets.unregister(sock)
    del waiting[sock]
    sock.close()


if __name__ == "__main__":
    sys.exit(main())
