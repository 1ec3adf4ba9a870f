"""``berth config``: contexts, each an API and a token."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.ui.help import Commands
from berth_cli.ui.options import Form, Output
from berth_cli.user import completion

if TYPE_CHECKING:
    from berth_cli.user.contexts import Context

app = Commands(help="Contexts: an API, and a token for it.")

SHOW_EXAMPLES = """
Examples:

  berth config show

  berth config show --output json
"""
USE_EXAMPLES = """
Examples:

  berth config use lab
"""
ADD_EXAMPLES = """
Examples:

  berth config add lab --api https://berth.example.org --token-stdin < token.txt

  berth config add lab --api https://berth.example.org --token-file ~/lab.token

  berth config add lab --api https://berth.example.org --ca-file lab-ca.pem --token-stdin < token.txt
"""
Name = Annotated[str, typer.Argument(metavar="NAME", autocompletion=completion.names, help="Name of a context.")]


@app.callback()
def configuration() -> None:
    """Contexts, each an API and a token, in ~/.config/berth/config.toml."""


@app.command(epilog=SHOW_EXAMPLES)
def show(output: Form = Output.TABLE) -> None:
    """Show the contexts and which one counts now; tokens are not shown."""
    import os

    from berth_cli.ui.errors import CliError
    from berth_cli.ui.printing import Column, Table
    from berth_cli.ui.printing import show as show_table
    from berth_cli.user import contexts

    file, path = contexts.load()
    rows = list(file.by_name.values())
    try:
        current = contexts.choose(None, os.environ, file, path)
    except CliError as error:
        typer.echo(f"berth: {error.message}", err=True)
    else:
        if current not in rows:
            rows.append(current)
        file = contexts.Contexts(current.name, file.by_name)
    table = Table["Context"](
        (
            Column("CURRENT", lambda row: "*" if row.name == file.current else None),
            Column("NAME", lambda row: row.name),
            Column("API", lambda row: row.api),
            Column("TOKEN", _token),
            Column("CA", lambda row: str(row.ca_file) if row.ca_file else None, wide=True),
        ),
        name=lambda row: row.name,
        wire=lambda row: {"name": row.name, "api": row.api, "token": _token(row), "current": row.name == file.current},
        good=lambda row: row.name == file.current,
    )
    show_table(rows, table, output, f"no contexts in {path}: `berth config add` makes one")


def _token(context: "Context") -> str:
    return str(context.token_file) if context.token_file else "yes" if context.token else "no"


@app.command(epilog=USE_EXAMPLES)
def use(name: Name) -> None:
    """Make a context the default."""
    from berth_cli.user import contexts

    file, path = contexts.load()
    contexts.choose(name, {}, file, path)
    _write(path, contexts.with_current(path.read_text(encoding="utf-8"), name))
    typer.echo(f"{name} is the current context")


@app.command(epilog=ADD_EXAMPLES)
def add(
    name: Name,
    api: Annotated[str, typer.Option("--api", metavar="URL", help="Address of the API.")],
    token_stdin: Annotated[bool, typer.Option("--token-stdin", help="Read the token from standard input.")] = False,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="Read the token from a file, each time anew.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option("--ca-file", metavar="FILE", help="Certificates of a private authority.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Send the token over plain HTTP too: all on the way may have it.")
    ] = False,
) -> None:
    """Write a context to the configuration file, which is then readable by you alone. The first one becomes current."""
    import sys

    from berth_cli.ui.errors import FAILED, USAGE, CliError
    from berth_cli.user import contexts

    if token_stdin and token_file is not None:
        raise CliError("--token-stdin and --token-file exclude each other: leave one out", USAGE)
    if not contexts.NAME.fullmatch(name):
        raise CliError(f"{name!r} is no name: take letters, digits, - and _", USAGE)
    present, path = contexts.load()
    if name in present.by_name:
        raise CliError(f"there is a context {name}: edit {path}, or take another name", FAILED)
    token = sys.stdin.read(65536).strip() if token_stdin else None
    tokens, authorities = (file.expanduser().absolute() if file else None for file in (token_file, ca_file))
    context = contexts.Context(name, api, token, tokens, authorities, insecure)
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    text = f"{before.rstrip()}\n\n{contexts.table(context)}" if before.strip() else contexts.table(context)
    text = text if present.current else contexts.with_current(text, name)
    contexts.parse(text, path)
    _write(path, text)
    typer.echo(f"context {name} is in {path}")


def _write(path: Path, text: str) -> None:
    """Write the file for this user alone, whole or not at all."""
    import os

    from berth_cli.ui.errors import FAILED, CliError

    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except OSError as error:
        raise CliError(
            f"{path} cannot be written: {error}: set XDG_CONFIG_HOME to a folder of yours", FAILED
        ) from error
