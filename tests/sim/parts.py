"""The parts by name."""

from typing import Final

from .builds import Builds
from .part import Part
from .stage import Stage

PARTS: Final[dict[str, type[Part]]] = {"builds": Builds}


def made(stage: Stage) -> dict[str, Part]:
    """Make the parts that a stage's setting names."""
    return {name: PARTS[name](stage) for name in stage.setting.parts}
