"""Add-ons: /addon."""

from fastapi import APIRouter

router = APIRouter(tags=["addons"])
