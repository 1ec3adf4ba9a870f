"""How resources look to clients. Pure."""

from typing import Any

Shape = dict[str, Any]
"""A JSON object."""
