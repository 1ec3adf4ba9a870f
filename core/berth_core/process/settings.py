"""Settings of a process, read from its environment by type. Pure."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BeforeValidator, Field, Json, TypeAdapter, ValidationError

from berth_core import durations
from berth_core.firewall import Network, parse_network

T = TypeVar("T")
D = TypeVar("D")


class SettingError(ValueError):
    """A variable is missing or cannot be used; the message names it."""


def split(text: str) -> tuple[str, ...]:
    """Return the words of a list that is separated by commas.

    >>> split("a, b,")
    ('a', 'b')
    """
    return tuple(word.strip() for word in text.split(",") if word.strip())


def networks(text: str) -> tuple[Network, ...]:
    """Return the networks of a list in CIDR notation. Raises ValueError."""
    return tuple(map(parse_network, split(text)))


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("write true or false")
    return text == "true"


COUNT: Final = TypeAdapter(Annotated[int, Field(ge=1, lt=2**31)])
AMOUNT: Final = TypeAdapter(Annotated[int, Field(ge=1)])
"""Such as bytes."""
PORT: Final = TypeAdapter(Annotated[int, Field(ge=0, lt=2**16)])
"""Port to listen on; 0 is any free one."""
PORTS: Final = TypeAdapter(
    Annotated[
        frozenset[Annotated[int, Field(ge=1, lt=2**16)]], BeforeValidator(split), Field(description="ports, comma list")
    ]
)
LENGTH: Final = TypeAdapter(
    Annotated[timedelta, BeforeValidator(durations.parse), Field(description="length such as `90s`, `12h` or `30d`")]
)
NETWORKS: Final = TypeAdapter(
    Annotated[tuple[Network, ...], BeforeValidator(networks), Field(description="networks, comma list")]
)
SWITCH: Final = TypeAdapter(Annotated[bool, BeforeValidator(_switch), Field(description="`true` or `false`")])
TEXTS: Final = TypeAdapter(Annotated[Json[Mapping[str, str]], Field(description="JSON object of texts")])
OBJECT: Final = TypeAdapter(Annotated[Json[Mapping[str, Any]], Field(description="JSON object")])


class Settings:
    """Variables of an environment. An empty one counts as unset, but for :meth:`words`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str = "") -> str:
        """Return a variable's text."""
        return self._environment.get(name, "").strip() or default

    def required(self, name: str) -> str:
        """Return a variable's text. Raises SettingError where it is not set."""
        if not (text := self.text(name)):
            raise SettingError(f"the environment variable {name} is not set")
        return text

    def path(self, name: str, default: D) -> Path | D:
        """Return the path that a variable names."""
        return Path(text) if (text := self.text(name)) else default

    def words(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return a variable's list; an empty text is an empty list."""
        text = self._environment.get(name)
        return default if text is None else split(text)

    def read(self, name: str, kind: TypeAdapter[T], default: D) -> T | D:
        """Return a variable's value as a type reads it. Raises SettingError."""
        if not (text := self.text(name)):
            return default
        try:
            return kind.validate_python(text)
        except ValidationError as error:
            reasons = "; ".join(str(one.get("ctx", {}).get("error") or one["msg"]) for one in error.errors())
            raise SettingError(f"{name} is {text!r}: {reasons}") from error
