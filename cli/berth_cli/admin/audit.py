"""``berth audit``: checks a cluster's audit logs against the lease protocol."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from berth_cli.ui.errors import CliError
from berth_cli.ui.help import Commands

VERIFY_EXAMPLES = """
Examples:

  berth audit verify /var/log/kubernetes/audit.log

  berth audit verify audit-2026-11-26.log.gz audit.log

  berth audit verify --trace trace.jsonl
"""

app = Commands(help="Judge an audit log by the lease protocol.")


@app.callback()
def audits() -> None:
    """Judge an audit log by the lease protocol."""


@app.command(epilog=VERIFY_EXAMPLES)
def verify(
    files: Annotated[list[Path], typer.Argument(help="Audit logs of the API servers, oldest first; also gzipped.")],
    trace: Annotated[bool, typer.Option("--trace", help="The files are traces, as Berth's tests record them.")] = False,
) -> None:
    """Check every commit in audit logs against the lease protocol.

    Fails with the commit, the rule and what to look at where a commit is not a legal step. Needs no cluster.
    """
    from berth_core.trace import audit, commits, judge

    lines = (line for file in files for line in _lines(file))
    try:
        verdict = judge.judge(commits.read(lines) if trace else audit.read(lines))
    except commits.TraceError as error:
        raise CliError(f"{error}: give audit logs (audit.k8s.io/v1), or traces with --trace") from error
    for breach in verdict.breaches:
        typer.echo(str(breach))
    typer.echo(
        f"{verdict.commits} commits: {verdict.taken} leases taken, {verdict.given_back} given back,"
        f" {verdict.bound} instances bound, {verdict.served} pods started"
    )
    if not verdict.commits:
        raise CliError(
            'no commit of Berth is in these files: see docs/how-to/operations.md, "Audit log", for the policy'
        )
    if verdict.breaches:
        raise CliError(f"{len(verdict.breaches)} commits are no legal steps of the lease protocol")


def _lines(file: Path) -> Iterator[str]:
    try:
        with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as opened:
            yield from opened
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"cannot read {file}: {error}") from error
