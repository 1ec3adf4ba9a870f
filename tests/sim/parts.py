"""The parts by name."""

from typing import Final

from .access import Access
from .builds import Builds
from .heartbeats import Heartbeats
from .part import Part
from .stage import Stage
from .tunnels import Tunnels

PARTS: Final[dict[str, type[Part]]] = {
    "builds": Builds,
    "access": Access,
    "heartbeats": Heartbeats,
    "tunnels": Tunnels,
}


def made(stage: Stage) -> dict[str, Part]:
    """Make the parts that a stage's setting names."""
    return {name: PARTS[name](stage) for name in stage.setting.parts}
