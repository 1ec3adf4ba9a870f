"""Waiting times."""

from pydantic import BaseModel, Field, RootModel


class QueueState(BaseModel):
    """Queue of a deployment."""

    qlen: int = Field(description="0 when it is free and nobody waits, else 1 + those who wait.")
    rem: int | None = Field(description="Seconds until the present lease ends; null where there is none, or no end.")


class QueueStates(RootModel[dict[str, QueueState]]):
    """Queues by the deployments' ids."""
