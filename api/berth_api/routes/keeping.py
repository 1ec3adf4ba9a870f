"""Keeping what one has: /instance/:id/ka and /extend."""

from fastapi import APIRouter

router = APIRouter(tags=["instances"])
