"""Ports for what is started on this machine: by several processes at once, none is given twice."""

import subprocess
import sys

from berth_dev.ports import COUNT, FIRST

TAKE = "from berth_dev.ports import free_port; print(*(free_port() for _ in range(50)), flush=True); input()"


def test_what_several_processes_are_given_is_free_and_theirs_alone() -> None:
    takers = [
        subprocess.Popen([sys.executable, "-c", TAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    try:
        given = [int(port) for taker in takers if taker.stdout for port in taker.stdout.readline().split()]
    finally:
        for taker in takers:
            taker.communicate("\n", timeout=30)
    assert len(given) == len(set(given)) == 200
    assert all(FIRST <= port < FIRST + COUNT for port in given)
