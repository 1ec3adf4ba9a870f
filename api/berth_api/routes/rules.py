"""Access to deployments: /rules, /deployment/:id/rule and /lockout."""

from fastapi import APIRouter

router = APIRouter(tags=["access"])
