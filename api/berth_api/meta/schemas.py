"""Bodies of answers about the process itself."""

from pydantic import BaseModel, Field, RootModel


class Commands(RootModel[dict[str, str]]):
    """URL templates (RFC 6570) by name of the command."""


class Health(BaseModel):
    """Whether the process should go on."""

    ended: list[str] = Field(description="Tasks that ended and should not have.")


class Readiness(BaseModel):
    """Whether the process can serve."""

    missing: list[str] = Field(description="Parts that it still waits for.")
    warnings: list[str] = Field(description="Faults in spite of which it serves; an administrator has to mend them.")


class WebhookKey(BaseModel):
    """The key that verifies webhooks."""

    key: str = Field(
        description="Ed25519 public key: `whpk_`, then the key's 32 bytes in base64. It verifies signatures `v1a`."
    )
