"""The CA for agents, as the install Job makes it."""

from datetime import UTC, datetime

from berth_cli.admin.keys import material


def authority() -> tuple[bytes, bytes]:
    """A CA as the install Job makes it: certificate and key, PEM."""
    made = material.new_authority(datetime.now(UTC))
    return made.certificate.encode(), made.key.encode()
