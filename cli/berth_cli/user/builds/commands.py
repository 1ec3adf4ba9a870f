"""``berth ci``: builds of a repository, with a machine where its `.berth.yml` asks for one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.ui.help import Commands
from berth_cli.ui.options import Form, Output
from berth_cli.user.session import ContextName, Json, connect

if TYPE_CHECKING:
    from berth_cli.ui.printing import Table
    from berth_cli.user.client import Api

app = Commands(help="Builds of your repositories.")

RUN_EXAMPLES = """
Examples:

  berth ci run

  berth ci run --follow

  berth ci run --project arm --repo https://git.example.org/arm.git --branch main --follow
"""
LIST_EXAMPLES = """
Examples:

  berth ci list

  berth ci list --project arm --output json
"""
PROJECTS_EXAMPLES = """
Examples:

  berth ci projects
"""
INFO_EXAMPLES = """
Examples:

  berth ci info

  berth ci info 7f3e2a10 --output json
"""
LOGS_EXAMPLES = """
Examples:

  berth ci logs

  berth ci logs --follow

  berth ci logs 7f3e2a10 --project arm > build.log
"""
CANCEL_EXAMPLES = """
Examples:

  berth ci cancel

  berth ci cancel 7f3e2a10 --project arm
"""
RESTART_EXAMPLES = """
Examples:

  berth ci restart

  berth ci restart 7f3e2a10 --follow
"""
ARTIFACTS_EXAMPLES = """
Examples:

  berth ci artifacts --file artifacts.tar.gz

  berth ci artifacts 7f3e2a10 --project arm -f artifacts.tar.gz
"""
Project = Annotated[
    str | None, typer.Option("--project", "-p", help="Name of the project; else that of this folder's repository.")
]
Build = Annotated[
    str | None,
    typer.Argument(
        metavar="BUILD", help="Its id, or 4 or more of its first or last digits; else the newest.", show_default=False
    ),
]
Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="Print the log as it grows; exit code 1 unless it passes.")
]


@app.callback()
def builds_of_repositories() -> None:
    """Builds of your repositories: a `.berth.yml` in each names the script to run, and the machine."""


@app.command(epilog=RUN_EXAMPLES)
def run(
    project: Project = None,
    repo: Annotated[
        str | None, typer.Option("--repo", metavar="URL", help="The repository; else this folder's.")
    ] = None,
    branch: Annotated[str | None, typer.Option("--branch", "-b", help="Else the one that is checked out here.")] = None,
    commit: Annotated[str | None, typer.Option("--commit", help="This commit; else the branch's newest.")] = None,
    follow: Follow = False,
    output: Form = Output.TABLE,
    context: ContextName = None,
) -> None:
    """Build a revision of a repository's remote; commits that are only on this machine are not built."""
    import uuid

    from berth_cli.ui.errors import USAGE, CliError
    from berth_cli.user.builds import logs as building

    api, key = connect(context), str(uuid.uuid4())
    here = building.checkout() if repo is None else building.Checkout(repo, None)
    if branch is None and commit is None and here is not None:
        branch = here.branch
    if branch is None and commit is None:
        raise CliError("what is to be built? Name it with --branch or --commit", USAGE)
    head = {"branch": branch, "commit": commit}
    if here is not None:
        fields = {f"repo_{name}": value for name, value in head.items() if value is not None}
        body = {"ns": project or here.project, "repo_type": "git", "repo_url": here.url, **fields}
        answer = api.post("/ci/new", body, key=key)
    elif project is not None:
        body = {name: value for name, value in head.items() if value is not None}
        answer = {"pid": project, **api.post(building.path(project), body, key=key)}
    else:
        raise CliError("this folder is no clone of a repository: name one with --repo, or a project", USAGE)
    _begun(api, answer["pid"], answer["jid"], follow, output)


@app.command(name="list", epilog=LIST_EXAMPLES)
def list_(project: Project = None, output: Form = Output.TABLE, context: ContextName = None) -> None:
    """Show the builds of a project, the newest first."""
    from berth_cli.ui.printing import show
    from berth_cli.user.builds import logs as building

    api = connect(context)
    rows = building.builds(api, building.project_of(api, project))
    show(rows, _table(), output, "no builds: `berth ci run` starts one")


@app.command(epilog=PROJECTS_EXAMPLES)
def projects(output: Form = Output.TABLE, context: ContextName = None) -> None:
    """Show your projects."""
    from berth_cli.ui.printing import Column, Table, show

    table = Table[Json](
        (
            Column("PROJECT", lambda row: row["project"]),
            Column("REPOSITORY", lambda row: row["repo_url"]),
            Column("CREATED", lambda row: row["created"]),
        ),
        name=lambda row: str(row["project"]),
    )
    rows = [{"project": pid, **project} for pid, project in connect(context).get("/ci/projects").items()]
    show(rows, table, output, "no projects: `berth ci run` in a clone of a repository makes one")


@app.command(epilog=INFO_EXAMPLES)
def info(
    build: Build = None, project: Project = None, output: Form = Output.TABLE, context: ContextName = None
) -> None:
    """Show a build."""
    from berth_cli.ui.printing import show_one
    from berth_cli.user.builds import logs as building

    api = connect(context)
    show_one(api.get(building.path(*_path_of(api, project, build))), _table(), output)


@app.command(epilog=LOGS_EXAMPLES)
def logs(build: Build = None, project: Project = None, follow: Follow = False, context: ContextName = None) -> None:
    """Print the log of a build."""
    from berth_cli.ui import terminal
    from berth_cli.user.builds import logs as building

    api = connect(context)
    path = _path_of(api, project, build)
    if follow:
        _follow(api, *path)
        return
    terminal.log(api.read(f"{building.path(*path)}/log"))


@app.command(epilog=CANCEL_EXAMPLES)
def cancel(build: Build = None, project: Project = None, context: ContextName = None) -> None:
    """End a build that waits or runs."""
    from berth_cli.user.builds import logs as building

    api = connect(context)
    path = _path_of(api, project, build)
    api.post(building.path(*path), {"do": "cancel"})
    typer.echo(f"build {path[1]} is canceled")


@app.command(epilog=RESTART_EXAMPLES)
def restart(
    build: Build = None,
    project: Project = None,
    follow: Follow = False,
    output: Form = Output.TABLE,
    context: ContextName = None,
) -> None:
    """Run an ended build once more, under the same id."""
    from berth_cli.user.builds import logs as building

    api = connect(context)
    path = _path_of(api, project, build)
    api.post(building.path(*path), {"do": "restart"})
    _begun(api, *path, follow, output)


@app.command(epilog=ARTIFACTS_EXAMPLES)
def artifacts(
    file: Annotated[Path, typer.Option("--file", "-f", help="Where the archive (.tar.gz) is written.")],
    build: Build = None,
    project: Project = None,
    context: ContextName = None,
) -> None:
    """Fetch the files that a build left."""
    from berth_cli.ui.errors import FAILED, CliError
    from berth_cli.user.builds import logs as building

    api = connect(context)
    archive = api.read(f"{building.path(*_path_of(api, project, build))}/artifacts")
    try:
        file.write_bytes(archive)
    except OSError as error:
        raise CliError(f"{file} cannot be written: {error.strerror}", FAILED) from error
    typer.echo(f"{file}: {len(archive)} bytes")


def _path_of(api: "Api", project: str | None, build: str | None) -> tuple[str, str]:
    from berth_cli.user.builds import logs as building

    pid = building.project_of(api, project)
    return pid, building.build_of(building.builds(api, pid), build)


def _begun(api: "Api", project: str, build: str, follow: bool, output: Output) -> None:
    from berth_cli.ui.printing import show_one
    from berth_cli.user.builds import logs as building

    if follow:
        typer.echo(f"build {build} of {project}", err=True)
        _follow(api, project, build)
    else:
        show_one(api.get(building.path(project, build)), _table(), output)
        typer.echo(f"`berth ci logs {build} --project {project} --follow` shows its log", err=True)


def _follow(api: "Api", project: str, build: str) -> None:
    from berth_cli.ui import terminal
    from berth_cli.ui.errors import FAILED, CliError
    from berth_cli.user.builds import logs as building

    def line(text: str) -> None:
        terminal.log(f"{text}\n")

    def status(word: str) -> None:
        typer.echo(f"build {build}: {word}", err=True)

    word = building.follow(api, project, build, line, status)
    if word != building.PASSED:
        raise CliError(f"build {build} {word}: `berth ci info {build} --project {project}` says why", FAILED)


def _table() -> "Table[Json]":
    from berth_cli.ui.printing import Column, Table

    def when(name: str) -> Column[Json]:
        return Column(name.upper(), lambda row: row.get(name))

    return Table[Json](
        (
            Column("BUILD", lambda row: row["id"]),
            Column("STATUS", lambda row: row["status"]),
            when("branch"),
            Column("COMMIT", lambda row: (row.get("commit") or "")[:12] or None),
            when("created"),
            when("ended"),
            when("message"),
            Column("PROJECT", lambda row: row["pid"], wide=True),
            Column("ATTEMPT", lambda row: str(row["attempt"]), wide=True),
            Column("EXIT CODE", lambda row: None if row.get("exit_code") is None else str(row["exit_code"]), wide=True),
            Column("PLACE", lambda row: str(row["position"]) if row.get("position") else None, wide=True),
            Column("MACHINE", lambda row: row.get("workspace"), wide=True),
            Column("INSTANCE", lambda row: row.get("instance"), wide=True),
            Column("IMAGE", lambda row: row.get("image"), wide=True),
        ),
        name=lambda row: str(row["id"]),
        good=lambda row: row["status"] == "passed",
    )
