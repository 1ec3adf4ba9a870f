"""Conversion of command line words to plain values, without the library that typer loads for it.

typer builds a pydantic adapter for each parameter, which takes longer than the rest of the start. Texts, flags,
choices, paths and lists of these need none; other types go typer's way.
"""

import types
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin

import typer
from typer._coercion import RuntimeParam


class Plain(RuntimeParam):
    """Coercion of one of :func:`is_plain`."""

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:
        annotation: Any = self.annotation
        if get_origin(annotation) is list:
            (kind,) = get_args(annotation)
            return [_coerced(kind, one, param, ctx) for one in value]
        return _coerced(annotation, value, param, ctx)


def quicken(parameters: Iterable[Any]) -> None:
    """Take plain parameters from typer's own coercion."""
    for parameter in parameters:
        described = getattr(parameter, "type_descriptor", None)
        if described is not None and is_plain(described.annotation, described.parameter_info):
            parameter._runtime_param = Plain(described.parameter_info, described.annotation)


def is_plain(annotation: Any, info: Any) -> bool:
    """Whether a parameter is a text, a flag, a choice, a path, or a list of these, without further demands. Pure."""
    kind = get_args(annotation)[0] if get_origin(annotation) is list else annotation
    if not isinstance(kind, type) or isinstance(kind, types.GenericAlias) or info.parser or info.envvar:
        return False
    if kind is Path:
        return not (info.exists or info.resolve_path or info.path_type)
    return kind in (str, bool) or issubclass(kind, StrEnum)


def _coerced(kind: Any, value: Any, param: Any, ctx: Any) -> Any:
    if isinstance(value, kind):
        return value
    try:
        return kind(value)
    except ValueError as error:
        choices = ", ".join(repr(str(choice)) for choice in kind)
        raise typer.BadParameter(f"{value!r} is not one of {choices}", ctx=ctx, param=param) from error
