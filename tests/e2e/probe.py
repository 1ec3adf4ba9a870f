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
    alike, since, seen = 0, 0.0, ""
    while time.monotonic() - start < seconds:
        sent = time.monotonic() - start
        seen = answer(host, port)
        if not (seen == wanted or (wanted == "shut" and seen != "open")):
            alike = 0
            continue
        since = sent if alike == 0 else since
        alike += 1
        if alike == STEADY:
            print(f"{since:.3f}")
            return 0
    print(f"{host}:{port} is {seen}, not {wanted}, after {seconds} s")
    return 1


if __name__ == "__main__":
    sys.exit(main())
