"""Errors inside the operator, in one tree."""


class OperatorError(Exception):
    """Base of the operator's own errors."""


class NotLeaderError(OperatorError):
    """A write was stopped: this process is no longer the leader."""


class AgentError(OperatorError):
    """An agent could not be reached, or refused."""


class StaleError(AgentError):
    """The agent holds something newer than what was pushed: ``generation`` and ``digest``."""

    def __init__(self, generation: int, digest: str) -> None:
        super().__init__(f"the agent has generation {generation} in force already")
        self.generation = generation
        self.digest = digest
