"""Reads lists for people: unreadable objects are left out and named on standard error."""

from collections.abc import Iterable
from typing import Final, TypeVar

import typer

from berth_core.kube.errors import UnreadableError
from berth_core.kube.types import Object
from berth_core.resources import Resource

R = TypeVar("R", bound=Resource)

SHOWN: Final = 5


def readable(kind: type[R], objects: Iterable[Object]) -> list[R]:
    """Return the readable ones of some objects, and name the others on standard error."""
    return split(kind, objects)[0]


def split(kind: type[R], objects: Iterable[Object]) -> tuple[list[R], list[Object]]:
    """Return the readable objects, and the unreadable ones, which are named on standard error."""
    read, unreadable = list[R](), list[Object]()
    for obj in objects:
        try:
            read.append(kind.parse(obj))
        except UnreadableError as error:
            unreadable.append(obj)
            if len(unreadable) <= SHOWN:
                typer.echo(f"left out: {error.message}", err=True)
    if len(unreadable) > SHOWN:
        typer.echo(
            f"left out: {len(unreadable) - SHOWN} more of kind {kind.KIND} cannot be read (berth doctor)", err=True
        )
    return read, unreadable
