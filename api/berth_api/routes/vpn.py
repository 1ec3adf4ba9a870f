"""An instance's VPN: /vpn."""

from fastapi import APIRouter

router = APIRouter(tags=["vpn"])
