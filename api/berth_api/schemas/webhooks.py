"""Webhooks."""

from pydantic import BaseModel, Field


class WebhookKey(BaseModel):
    """What verifies webhooks."""

    key: str = Field(
        description="Ed25519 public key: `whpk_`, then the key's 32 bytes in base64. It verifies signatures `v1a`."
    )
