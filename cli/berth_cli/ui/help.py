"""Form of help texts: commands by audience, examples as they are typed, without slow imports.

rich would draw frames around the same words and take longer to load than everything else together.
"""

from collections.abc import Callable
from inspect import cleandoc
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from berth_cli.ui.conversion import quicken

PEOPLE = "With a token, over the HTTP API"
KEEPERS = "With a kubeconfig, for administrators"
OTHERS = "About this tool"
Function = TypeVar("Function", bound=Callable[..., Any])


def _verbatim(formatter: Any, epilog: str | None) -> None:
    """Write examples line by line, without the blank lines that separate them."""
    if epilog is None:
        return
    lines = cleandoc(epilog).splitlines()
    formatter.write_paragraph()
    for line in (line for line in lines if line.strip()):
        formatter.write(f"{line}\n")


class Command(TyperCommand):
    """A command whose examples are not wrapped, and whose words are converted quickly.

    typer annotates the methods overridden here with classes of its own copy of click, which are not public.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words."""
        quicken(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # noqa: ARG002 (see above)
        """Write the examples."""
        _verbatim(formatter, self.epilog)


class Dashed(Command):
    """A command that takes another command after ``--``, which is then in ``ctx.meta[AFTER]``, else None."""

    AFTER = "berth.after"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the words behind the first ``--`` away from the parser."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[self.AFTER] = args[at + 1 :] if at < len(args) else None
        return super().parse_args(ctx, args[:at])


class Group(TyperGroup):
    """List of commands, by audience where they have one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words before the command."""
        quicken(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # see Command
        """Write exit codes as a paragraph, examples line by line."""
        if self.epilog and "\n" in self.epilog:
            _verbatim(formatter, self.epilog)
        else:
            super().format_epilog(ctx, formatter)

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # see Command
        """Write a list for each audience."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        by_panel: dict[str, list[tuple[str, str]]] = {}
        width = max((len(name) for name in commands), default=0)
        for name, command in commands.items():
            if command is None or command.hidden:
                continue
            panel = getattr(command, "rich_help_panel", None)
            words = command.get_short_help_str(max(formatter.width - 6 - width, 20))
            by_panel.setdefault(panel if isinstance(panel, str) else "Commands", []).append((name.ljust(width), words))
        for panel, rows in by_panel.items():
            with formatter.section(panel):
                formatter.write_dl(rows)


class Commands(typer.Typer):
    """A group of commands with the help of this module."""

    def __init__(self, **settings: Any) -> None:
        defaults = {
            "cls": Group,
            "rich_markup_mode": None,
            "no_args_is_help": True,
            "add_completion": False,
            "pretty_exceptions_enable": False,
        }
        super().__init__(**(defaults | settings))

    def command(
        self, name: str | None = None, *, cls: type[TyperCommand] | None = Command, **settings: Any
    ) -> Callable[[Function], Function]:
        """As ``Typer.command``, with examples (``epilog``) as they are written."""
        return super().command(name, cls=cls, **settings)
