"""The first step of a build: finds the commit, reads .berth.yml, and reports both in the termination message."""

import json
import os
import sys
from typing import Final

from berth_ci import repository
from berth_ci.credentials import environment
from berth_ci.failures import Failure
from berth_ci.places import TERMINATION, WORK
from berth_ci.recipe import RecipeError, parse

LONGEST_MESSAGE: Final = 1500
"""Characters: a termination message has 4,096 bytes."""


def main() -> int:
    """Find and report; the exit code is 1 where the build ends here."""
    try:
        report = _report()
    except Failure as failure:
        return report_failure(failure)
    except RecipeError as error:
        return report_failure(Failure(repository.WRONG, str(error)))
    sys.stdout.write(f"commit {report['commit']}\n")
    _write(report)
    return 0


def report_failure(failure: Failure) -> int:
    """Report a failure, in the log and to the operator; returns the exit code."""
    message = failure.message[:LONGEST_MESSAGE]
    sys.stdout.write(f"{failure.reason}: {message}\n")
    _write({"error": failure.reason, "message": message})
    return 1


def _report() -> dict[str, object]:
    url = os.environ["BERTH_REPO_URL"]
    sys.stdout.write(f"looking into {url}\n")
    sys.stdout.flush()
    git = repository.opened(WORK / "look", url, environment(url))
    commit = repository.find_commit(git, os.environ.get("BERTH_BRANCH"), os.environ.get("BERTH_COMMIT"))
    recipe = parse(repository.read_recipe(git, commit), int(os.environ["BERTH_LONGEST"]))
    return {"commit": commit, "image": recipe.image, "workspace": recipe.workspace, "timeout": recipe.timeout}


def _write(report: dict[str, object]) -> None:
    TERMINATION.write_text(json.dumps(report), encoding="utf-8")
