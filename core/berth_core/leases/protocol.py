"""The version number of the lease protocol on the leader's Lease; decides whether this version may run. Pure."""

from typing import Any, Final

from berth_core import names

LEADER: Final = "berth-operator"
"""Name of the leader's Lease (coordination.k8s.io), in the release's namespace."""


class NewerProtocolError(Exception):
    """A newer version of Berth has led here: this version must not write beside it or after it."""


def need_known(lease: dict[str, Any]) -> None:
    """Raise NewerProtocolError where the leader's Lease has a protocol number that this version does not know."""
    spoken = int((lease["metadata"].get("annotations") or {}).get(names.PROTOCOL_ANNOTATION) or 1)
    if spoken > names.PROTOCOL:
        raise NewerProtocolError(
            f"a newer version of Berth has led here (protocol {spoken}, this one speaks {names.PROTOCOL}): run that"
            f" version; to go back for good, end all leases with it and delete the Lease {LEADER}"
        )
