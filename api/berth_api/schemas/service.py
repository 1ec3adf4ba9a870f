"""State of the process."""

from pydantic import BaseModel, Field


class Health(BaseModel):
    """Whether the process should go on."""

    ended: list[str] = Field(description="Tasks that ended and should not have.")


class Readiness(BaseModel):
    """Whether the process can serve."""

    missing: list[str] = Field(description="What it still waits for.")
    warnings: list[str] = Field(description="What it serves in spite of, and somebody has to mend.")
