"""Probes a TCP port until it answers as wanted: ``probe.py HOST PORT open|shut|refused SECONDS``.

``shut`` is silence or a refusal: where the cluster's network plugin enforces the NetworkPolicy as well, the plugin
chooses how to say no. Prints the seconds until then; exits with 1 when the deadline passes first. Standard library
only, since it runs at the address of an outside client.
"""

import socket
import sys
import time

PATIENCE = 0.2
STEADY = 5
"""Answers in a row that must be alike: a change that is under way may flicker."""


def answer(host: str, port: int) -> str:
    """Try one connection."""
    try:
        with socket.create_connection((host, port), timeout=PATIENCE):
            return "open"
    except TimeoutError:
        return "silent"
    except OSError:
        return "refused"


def main() -> int:
    """Probe and print."""
    host, port, wanted, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
    start = time.monotonic()
    sent, alike, since, seen = 0.0, 0, 0.0, ""  # the first is sent at once, whatever the clock says by then
    while sent < seconds:
        seen = answer(host, port)
        if seen == wanted or (wanted == "shut" and seen != "open"):
            since = sent if alike == 0 else since
            alike += 1
        else:
            alike = 0
        if alike == STEADY:
            print(f"{since:.3f}")
            return 0
        sent = time.monotonic() - start
    print(f"{host}:{port} is {seen}, not {wanted}, after {seconds} s")
    return 1


if __name__ == "__main__":
    sys.exit(main())
