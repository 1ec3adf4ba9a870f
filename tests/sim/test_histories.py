"""Random histories of the real operator and API code on virtual time: whatever happens, I1 to I8 hold."""

import os

import pytest

from .playing import simulation

SEED = int(os.environ.get("SEED") or 1)
CALM = 15
EACH = 5
HOLDING = ("kill", "cut", "lose", "apikill", "node", "gap", "refuse")
"""Classes of faults that are survived whatever the order in which a lease is opened."""


def test_without_faults_every_invariant_holds() -> None:
    status, said = simulation(SEED=SEED, HISTORIES=CALM, FAULTS="none", SET="full", PROCESSES=1)
    assert status == 0, said


@pytest.mark.parametrize("fault", HOLDING)
def test_every_invariant_holds_under_a_fault(fault: str) -> None:
    status, said = simulation(SEED=SEED, HISTORIES=EACH, FAULTS=fault, PROCESSES=1)
    assert status == 0, said
