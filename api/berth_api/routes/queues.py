"""How long one waits: /qlen."""

from fastapi import APIRouter

router = APIRouter(tags=["deployments"])
