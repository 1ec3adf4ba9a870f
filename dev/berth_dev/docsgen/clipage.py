"""Writes the page of the command line from its commands: ``python -m berth_dev.docsgen.clipage FILE``."""

import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any

from typer.main import get_command

from berth_cli.main import app
from berth_cli.ui.errors import MEANINGS
from berth_cli.ui.help import KEEPERS, OTHERS, PEOPLE
from berth_dev.docsgen.tables import table

INTRODUCTION = """# The command line

Made from the commands by `make generate`; `berth --help`, and `--help` after each command, say the same. kubectl \
finds it as `kubectl berth`.

## Which API, which token

`berth` asks the API that the environment names (`BERTH_API`, `BERTH_TOKEN`; `REROBOTS_API_TOKEN` is read too), or \
a context of `~/.config/berth/config.toml` (`$XDG_CONFIG_HOME`):

```toml
current-context = "lab"

[contexts.lab]
api = "https://berth.example.org"
token-file = "lab.token"   # beside this file; or: token = "…"
ca-file = "lab-ca.pem"     # only where the API has a certificate of a private authority
insecure = true            # only where api is http:// and the token may cross the network in the clear
```

`--context` counts for more than the environment, the environment for more than `BERTH_CONTEXT` and \
`current-context`. With `BERTH_API` alone no token of the file is sent: a token goes to its context's API only, and \
redirects are not followed. `BERTH_CA_FILE` names certificates beside `BERTH_API`. A file with a token that other \
users can read is complained about. Proxies are those of `HTTPS_PROXY` and `NO_PROXY`. Over `http://` a token goes to \
this machine only (`localhost`, 127.0.0.0/8, ::1), and to other addresses where its context says `insecure = true`.

## Which instance

Most commands take an instance by its id, by 4 or more of its first or last digits, by its type or its deployment; \
without any they take your only active one, and otherwise say which there are. `berth firewall`, `scp` and \
`port-forward` tell it from addresses, paths and ports by its form.

## Local files

Below `~/.local/share/berth/instances/<id>/` (`$XDG_DATA_HOME`), readable by you alone: the private key that Berth \
made for an instance, or the path of your own that `--key` named, and the host keys that the API announces. `berth \
end` removes them. `berth ssh`, `scp` and `port-forward` call OpenSSH with these host keys and no others, so that \
nothing is asked; only a key of your own may ask for its passphrase.

## Forms of the answer

`--output table` (default), `wide` (more columns), `json` and `yaml` (what the API said, or what the cluster has), \
`name` (ids, one a line). Answers are on standard output, all else on standard error; colours are for terminals \
only, and not where `NO_COLOR` is set. Control characters that others wrote, in logs of builds too, are shown as `?` \
on a terminal; files and pipes get logs unchanged.

## Exit codes

| Code | Meaning |
|---|---|
"""
AFTER_CODES = """
`berth ssh`, `scp` and `port-forward` end as OpenSSH does (255: no connection); `berth doctor` and `berth machine \
check` with 1 where something has failed.

## Completion

`source <(berth completion bash)`, or the same for zsh and fish. Types, instances and contexts are completed; the \
API is given a second for it.
"""
TITLES = {PEOPLE: "For people with a token", KEEPERS: "For administrators", OTHERS: "About this tool"}
LEFT_OUT = {"--help", "--install-completion", "--show-completion"}


def page() -> str:
    """Return the page in Markdown."""
    root = get_command(app)
    codes = [f"| {code} | {meaning} |" for code, meaning in MEANINGS.items()]
    lines = [INTRODUCTION.rstrip("\n"), *codes, AFTER_CODES.rstrip("\n"), ""]
    for panel, title in TITLES.items():
        lines += [f"## {title}", ""]
        for path, command in _commands(root, panel):
            lines += _command(path, command)
    return "\n".join(lines).rstrip() + "\n"


def _commands(root: Any, panel: str) -> Iterator[tuple[str, Any]]:
    """Each command of an audience with its full name, the commands of groups included."""
    for name, command in root.commands.items():
        if command.rich_help_panel != panel:
            continue
        inner = getattr(command, "commands", None)
        if inner is None:
            yield f"berth {name}", command
        else:
            yield from ((f"berth {name} {word}", one) for word, one in inner.items())


def _command(path: str, command: Any) -> Iterator[str]:
    context = command.context_class(command, info_name=path)
    yield f"### {path}"
    yield ""
    yield cleandoc(command.help or "")
    yield ""
    yield f"`{path} {' '.join(command.collect_usage_pieces(context))}`"
    yield ""
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    rows = [record for record in records if record is not None and not _is_left_out(record[0])]
    yield from table(("Word", "Meaning"), ((f"`{words}`", meaning) for words, meaning in rows))
    if command.epilog:
        yield "```"
        yield from (
            line.strip() for line in command.epilog.splitlines() if line.strip() and line.strip() != "Examples:"
        )
        yield "```"
        yield ""


def _is_left_out(words: str) -> bool:
    return any(word.strip(",") in LEFT_OUT for word in words.split())


def main() -> None:
    """Write the file that the first argument names."""
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
