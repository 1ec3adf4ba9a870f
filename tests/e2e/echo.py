"""Small services and their clients, for the two ends of a tunnel. Standard library only: it runs in workspaces too.

``serve PORT`` answers UDP datagrams with themselves; ``pour PORT BYTES`` sends so many to the first who connects.
``ask HOST PORT SECONDS [DEVICE]`` asks a UDP service until it answers; exits with 1 when it does not.
``hear HOST PORT SECONDS`` asks every 10 ms and prints when (monotonic) the last answer came.
``drink HOST PORT`` reads to the end and prints bytes a second.
"""

import socket
import sys
import time

EVERY = 0.01


def serve(port: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", int(port)))
        print("serving", flush=True)
        while True:
            content, sender = sock.recvfrom(2000)
            sock.sendto(content, sender)


def pour(port: str, count: str) -> int:
    with socket.create_server(("", int(port))) as server:
        print("serving", flush=True)
        peer, _ = server.accept()
        with peer:
            left, chunk = int(count), bytes(65536)
            while left > 0:
                peer.sendall(chunk[: min(left, len(chunk))])
                left -= len(chunk)
    return 0


def ask(host: str, port: str, seconds: str, device: str = "") -> int:
    until = time.monotonic() + float(seconds)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if device:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        sock.settimeout(0.1)
        while time.monotonic() < until:
            if _answered(sock, host, int(port)):
                print("answered")
                return 0
    return 1


def hear(host: str, port: str, seconds: str) -> int:
    until, last = time.monotonic() + float(seconds), 0.0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(EVERY)
        while time.monotonic() < until:
            if _answered(sock, host, int(port)):
                last = time.monotonic()
                time.sleep(EVERY)
    print(last)
    return 0


def drink(host: str, port: str) -> int:
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        began, count = time.monotonic(), 0
        while content := sock.recv(65536):
            count += len(content)
    print(count / (time.monotonic() - began))
    return 0


def _answered(sock: socket.socket, host: str, port: int) -> bool:
    try:
        sock.sendto(b"here?", (host, port))
        return sock.recv(100) == b"here?"
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit({f.__name__: f for f in (serve, pour, ask, hear, drink)}[sys.argv[1]](*sys.argv[2:]))
