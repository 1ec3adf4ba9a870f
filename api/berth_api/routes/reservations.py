"""Places in the queue: /reservations, /reservation."""

from fastapi import APIRouter

router = APIRouter(tags=["reservations"])
