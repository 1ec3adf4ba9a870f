"""Identity of a caller, from a verified token."""

from dataclasses import dataclass

from berth_core import names


@dataclass(frozen=True, slots=True)
class Identity:
    """The claims of a token that count. Times are seconds since the Epoch."""

    user: str
    digest: str
    """SHA-256 (hex) of the token: the name by which it is revoked."""
    expires: float
    issued: float | None = None
    superuser: bool = False
    organisation: str | None = None
    instance: str | None = None
    """The only instance that the token works for."""
    read_only: bool = False
    may_own: bool = True
    """Whether it may register, change and retire machines of its user's."""
    types: frozenset[str] | None = None
    """Types it may instantiate; None for all."""
    expire_d: int | None = None
    """The only ``expire_d`` (seconds) it may ask for."""

    @property
    def labels(self) -> dict[str, str]:
        """Label on objects that the token makes, by which they can be ended with it."""
        return names.token_labels(self.digest)
