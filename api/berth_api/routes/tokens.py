"""The end of tokens: /revoke, /purge."""

from fastapi import APIRouter

router = APIRouter(tags=["tokens"])
