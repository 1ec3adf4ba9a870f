"""Reads lists for people: what cannot be read is left out, and standard error says so."""

from collections.abc import Iterable
from typing import Final, TypeVar

import typer

from berth_core.kube.errors import UnreadableError
from berth_core.kube.types import Object
from berth_core.resources import Resource

R = TypeVar("R", bound=Resource)

SHOWN: Final = 5


def readable(kind: type[R], objects: Iterable[Object]) -> list[R]:
    """Return those of some objects that can be read, and name the others on standard error."""
    return split(kind, objects)[0]


def split(kind: type[R], objects: Iterable[Object]) -> tuple[list[R], list[Object]]:
    """Return what can be read, and the objects that cannot, which standard error names."""
    read, left = list[R](), list[Object]()
    for obj in objects:
        try:
            read.append(kind.parse(obj))
        except UnreadableError as error:
            left.append(obj)
            if len(left) <= SHOWN:
                typer.echo(f"left out: {error.message}", err=True)
    if len(left) > SHOWN:
        typer.echo(f"left out: {len(left) - SHOWN} more of kind {kind.KIND} cannot be read (berth doctor)", err=True)
    return read, left
