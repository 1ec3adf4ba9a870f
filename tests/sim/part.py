"""Parts: kinds of things that some histories of the set ``full`` have besides plain leases, each in a module."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from .plan import Event
    from .stage import Stage
    from .users import Users


class Part:
    """A part of the product: people's actions with it, by :data:`tests.sim.plan.MORE`, and its invariants.

    Made before any process.
    """

    OPERATOR: ClassVar[Mapping[str, Any]] = {}
    """Settings for it in the operator's configuration."""

    def __init__(self, stage: "Stage") -> None:
        self.stage = stage

    def act(self, users: "Users", event: "Event") -> None:
        """Carry out one of its actions: each is a method."""
        getattr(self, event.what.replace("-", "_"))(users, event)

    def at_peace(self) -> None:
        """Judge a while after everything healed, before all is ended."""

    def finish(self) -> None:
        """Ask for the end of everything that is left; called again while something is."""

    def is_over(self) -> bool:
        """Whether everything has ended."""
        return True

    def at_the_end(self) -> None:
        """Judge when everything was asked to end."""
