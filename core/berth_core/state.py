"""The states of instances in the HTTP API, derived from spec and conditions and never stored. Pure."""

from enum import StrEnum
from typing import Final

from berth_core.kube import conditions
from berth_core.resources import Instance

READY: Final = "Ready"
ENDED: Final = "Ended"
BOUND: Final = "Bound"
POD_READY: Final = "PodReady"
NETWORK_READY: Final = "NetworkReady"
VPN_READY: Final = "VPNReady"
REPOSITORY_READY: Final = "RepositoryReady"
USER_NAMESPACE: Final = "UserNamespace"
PREPARED: Final = "Prepared"
CLEANED: Final = "Cleaned"
RESTED: Final = "Rested"
"""The machine's relays have done what its deployment says for the end of a lease."""
MACHINE_REACHABLE: Final = "MachineReachable"
"""Absent until the machine has stopped answering."""

START_FAILED: Final = "StartFailed"
TERMINATED: Final = "Terminated"
EXPIRED: Final = "Expired"
CLAIM_LOST: Final = "ClaimLost"
DELETED: Final = "Deleted"
KEEP_ALIVE_LOST: Final = "KeepAliveLost"
NEVER_MADE: Final = "NeverMade"
RESTORED: Final = "Restored"
"""Values of ``Instance.status.reason``, and the reasons of the Ended condition."""


class Word(StrEnum):
    """States that clients of the HTTP API know."""

    INIT = "INIT"
    INIT_FAIL = "INIT_FAIL"
    READY = "READY"
    TERMINATING = "TERMINATING"
    TERMINATED = "TERMINATED"


ENDINGS: Final = frozenset({Word.INIT_FAIL, Word.TERMINATING, Word.TERMINATED})


def word(instance: Instance) -> Word:
    """Return the state of an instance in the HTTP API."""
    status = instance.status
    ended = conditions.is_true(status.conditions, ENDED)
    if status.reason == START_FAILED:
        return Word.INIT_FAIL
    if ended:
        return Word.TERMINATED
    if status.reason or instance.spec.terminate or instance.metadata.deletion_timestamp:
        return Word.TERMINATING
    if conditions.is_true(status.conditions, READY):
        return Word.READY
    return Word.INIT


def is_active(instance: Instance) -> bool:
    """Whether the instance still runs or will run."""
    return word(instance) not in ENDINGS
