"""`berth`: help, versions, and what it says when it cannot do what it was asked."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version as installed
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from berth_cli.main import app
from berth_dev.envtest.accounts import account
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces
from berth_dev.paths import REPOSITORY

from .conftest import Run


def test_help_lists_commands_and_exit_codes(berth: Run) -> None:
    done = berth("--help")
    assert done.code == 0
    words = "status release deployment token key user webhook restore doctor types search new list info ssh scp"
    words += " port-forward firewall vpn extend end reservations queue ci config completion version"
    assert all(f"\n  {word} " in done.out for word in words.split())
    assert "Exit codes" in done.out
    assert done.out.index("With a token") < done.out.index("\n  new ") < done.out.index("With a kubeconfig")


def commands() -> Iterator[tuple[str, ...]]:
    """Every command but `version`, as people type it."""
    tree = typer.main.get_command(app)
    for name, command in getattr(tree, "commands", {}).items():
        inner = getattr(command, "commands", {})
        yield from ((name, word) for word in inner)
        if not inner and name != "version":
            yield (name,)


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_has_examples(command: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert f"berth {' '.join(command)}" in done.output[done.output.index("Examples") :]


SLOW = {"pydantic", "kubernetes", "aiohttp", "jwt", "argon2", "rich", "cryptography", "yaml", "asyncio"}
"""Packages that take longer to load than the whole start may take."""


@pytest.mark.parametrize("words", ["--help", "--version", "new --help", "token create --help", "config show", "list"])
def test_nothing_that_takes_long_is_loaded_where_it_is_not_needed(words: str, tmp_path: Path) -> None:
    code = (
        "import sys; from berth_cli.main import main\n"
        "try: main()\n"
        f"finally: print(*{SLOW} & set(sys.modules), file=sys.stderr)"
    )
    environment = {"HOME": str(tmp_path), "BERTH_API": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *words.split()], env=environment, capture_output=True, text=True, check=False
    )
    said = done.stderr.splitlines()
    assert said[-1] == "", "a line for what was loaded stands there, and it is empty"
    assert done.returncode == (3 if words == "list" else 0), done.stderr


def test_kubectl_finds_it(apiserver: ApiServer) -> None:
    programs = Path(sys.executable).parent
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "KUBECONFIG": str(apiserver.kubeconfig)}
    kubectl = [str(apiserver.tools.path("kubectl")), "berth"]
    done = subprocess.run([*kubectl, "version"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{installed('berth')}\n"


def test_the_page_has_every_command() -> None:
    page = (REPOSITORY / "docs/reference/cli.md").read_text()
    assert [line for line in commands() if f"\n### berth {' '.join(line)}\n" not in page] == []


def test_the_version(berth: Run) -> None:
    assert berth("version").out == berth("--version").out == f"{installed('berth')}\n"


def test_a_typing_error_is_wrong_usage(berth: Run) -> None:
    done = berth("staus")
    assert done.code == 2
    assert "staus" in done.err


def test_no_kubeconfig(berth: Run, tmp_path: Path) -> None:
    done = berth("status", KUBECONFIG="", HOME=str(tmp_path))
    assert done.code == 3
    assert done.err == (
        f"berth: there is no kubeconfig at {tmp_path}/.kube/config: name one with --kubeconfig or KUBECONFIG\n"
    )


def test_a_broken_kubeconfig(berth: Run, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("clusters: 7\n")
    done = berth("status", "--kubeconfig", str(path))
    assert done.code == 1
    assert str(path) in done.err
    assert "Traceback" not in done.err


def test_a_cluster_that_is_away(berth: Run, apiserver: ApiServer, tmp_path: Path) -> None:
    config = yaml.safe_load(apiserver.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    done = berth("status", "--kubeconfig", str(path))
    assert done.code == 3
    assert "check that the cluster" in done.err
    assert done.err.count("\n") == 1


def test_somebody_without_rights(berth: Run, apiserver: ApiServer, namespaces: Namespaces, tmp_path: Path) -> None:
    path = account(apiserver, "nobody", namespaces.release, {}, tmp_path)
    done = berth("status", "-w", namespaces.workspaces, "--kubeconfig", str(path))
    assert done.code == 5
    assert "ask an administrator" in done.err
