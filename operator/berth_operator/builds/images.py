"""Which images scripts may run in: a node pulls them from its own network, with its own credentials. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from berth_core import hosts

ANY: Final = "*"
DEFAULT_HOST: Final = "docker.io"
_ALIASES: Final = {"index.docker.io": DEFAULT_HOST}
_PART: Final = "[a-z0-9]+(?:(?:[.]|__?|-+)[a-z0-9]+)*"
_IMAGE: Final = re.compile(
    rf"(?:(?P<host>[A-Za-z0-9.-]+(?::[0-9]{{1,5}})?|\[[0-9A-Fa-f:]+\](?::[0-9]{{1,5}})?)/)?(?P<path>{_PART}(?:/{_PART})*)"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[a-z0-9+._-]+:[0-9a-fA-F]{32,128})?"
)


@dataclass(frozen=True)
class Image:
    """Where an image comes from: ``host`` with its port where it names one, and ``path``, without tag and digest."""

    host: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an image's name as container runtimes do. Raises ValueError."""
        first, slash, _ = text.partition("/")
        names_host = bool(slash) and (any(c in first for c in ".:[") or first == "localhost" or first != first.lower())
        match = _IMAGE.fullmatch(text if names_host else f"{DEFAULT_HOST}/{text}")
        if match is None or match["host"] is None:
            raise ValueError(f"{text} is no image's name")
        host, path = _ALIASES.get(match["host"].lower(), match["host"].lower()), match["path"]
        return cls(host, f"library/{path}" if host == DEFAULT_HOST and "/" not in path else path)

    @property
    def by_address(self) -> bool:
        """Whether the host is an address, in whatever notation a resolver reads, or the node itself."""
        try:
            return self.host.startswith("[") or hosts.address_of(self.host.partition(":")[0]) is not None
        except ValueError:
            return True


def why_not(text: str, allowed: Sequence[str]) -> str:
    """Why no script runs in an image; empty where it may.

    ``allowed`` has beginnings of names, whole parts each: a registry, or what is below a path there. ``*`` is every
    registry that has a name.
    """
    try:
        image = Image.parse(text)
    except ValueError as error:
        return f"{error}: correct `image` in .berth.yml"
    whole = f"{image.host}/{image.path}/"
    if any(whole.startswith(f"{entry.rstrip('/')}/") for entry in allowed if entry != ANY):
        return ""
    if ANY in allowed and not image.by_address:
        return ""
    return f"images from {image.host}/{image.path} are not allowed here: ask for that in the value ci.allowedImages"
