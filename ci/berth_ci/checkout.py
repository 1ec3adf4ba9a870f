"""The step before the script: checks the commit out, writes the script, waits until the machine's door is open."""

import json
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Final

from berth_ci import repository
from berth_ci.credentials import environment
from berth_ci.failures import Failure
from berth_ci.fetch import report_failure
from berth_ci.git import Git, GitError
from berth_ci.places import (
    ARTIFACTS,
    HOME,
    KEY,
    KNOWN_HOSTS,
    MACHINE_KEY,
    SCRIPT,
    SOURCE,
    SSH_CONFIG,
)
from berth_ci.recipe import Recipe, RecipeError, parse
from berth_ci.script import Machine, known_hosts, rendered, ssh_config

DOOR_SECONDS: Final = 60.0
"""How long the machine's firewall may take to let this pod in."""
CONNECT_SECONDS: Final = 2.0
PAUSE: Final = 0.3
SHUT: Final = "MachineUnreachable"


def main() -> int:
    """Do all that comes before the script; the exit code is 1 where the build ends here."""
    try:
        git, recipe = _checked_out()
        _write(recipe)
        _say(f"checked out {git.run('rev-parse', 'HEAD').strip()}")
        if machine := _machine():
            _prepare(machine)
            _await(machine)
    except Failure as failure:
        return report_failure(failure)
    except RecipeError as error:
        return report_failure(Failure(repository.WRONG, str(error)))
    except GitError as error:
        return report_failure(error.failure("the commit could not be checked out"))
    return 0


def _checked_out() -> tuple[Git, Recipe]:
    url, commit = os.environ["BERTH_REPO_URL"], os.environ["BERTH_COMMIT"]
    _say(f"cloning {url}")
    if SOURCE.exists():
        shutil.rmtree(SOURCE)  # a container that was started again begins anew
    git = repository.opened(SOURCE, url, environment(url))
    repository.obtained(git, commit)
    git.reach("checkout", "--quiet", "--detach", commit)
    recipe = parse(repository.read_recipe(git, commit), int(os.environ["BERTH_LONGEST"]))
    if recipe.submodules:
        git.reach("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
    return git, recipe


def _write(recipe: Recipe) -> None:
    HOME.mkdir(exist_ok=True)
    SCRIPT.write_text(rendered(recipe.script, recipe.env), encoding="utf-8")
    ARTIFACTS.write_text(json.dumps(recipe.artifacts), encoding="utf-8")


def _machine() -> Machine | None:
    host = os.environ.get("BERTH_INSTANCE_HOST")
    if not host:
        return None
    keys = tuple(line for line in os.environ["BERTH_HOST_KEYS"].splitlines() if line)
    return Machine(host, int(os.environ["BERTH_INSTANCE_PORT"]), keys)


def _prepare(machine: Machine) -> None:
    KNOWN_HOSTS.write_text(known_hosts(machine), encoding="utf-8")
    SSH_CONFIG.write_text(ssh_config(machine), encoding="utf-8")
    _private(KEY, MACHINE_KEY.read_bytes())


def _private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)


def _await(machine: Machine) -> None:
    """Wait until ssh answers: the rule that lets this pod in is made when the pod has its address."""
    _say(f"waiting for the machine at {machine.host}, port {machine.port}")
    until, why = time.monotonic() + DOOR_SECONDS, "nothing answered"
    while time.monotonic() < until:
        try:
            with socket.create_connection((machine.host, machine.port), CONNECT_SECONDS) as connection:
                connection.settimeout(CONNECT_SECONDS)
                if connection.recv(4) == b"SSH-":
                    return
                why = "the answer is not an ssh server's"
        except OSError as error:
            why = str(error)
        time.sleep(PAUSE)
    raise Failure(SHUT, f"ssh at {machine.host}, port {machine.port} did not answer within {DOOR_SECONDS:.0f} s: {why}")


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()
