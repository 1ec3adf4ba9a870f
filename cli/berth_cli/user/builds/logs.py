"""Builds: which project and build are meant, and their logs as they grow."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from berth_cli.ui.errors import FAILED, NOT_FOUND, UNREACHABLE, USAGE, CliError
from berth_cli.user.builds.events import LINE, events
from berth_cli.user.client import Api, Refused
from berth_cli.user.session import LEAST_DIGITS, Json, escaped

PASSED: Final = "passed"
ENDED: Final = frozenset({PASSED, "failed", "errored", "canceled"})
PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Checkout:
    """The repository of this folder: its remote, and the revision that is checked out."""

    url: str
    branch: str | None

    @property
    def project(self) -> str:
        """Return the name that its project has by default."""
        return PurePosixPath(self.url.rstrip("/")).name.removesuffix(".git")


def checkout() -> Checkout | None:
    """Read the folder's repository; None where it is no git clone with a remote."""
    url = _git("remote", "get-url", "origin")
    return Checkout(url, _git("symbolic-ref", "--short", "-q", "HEAD") or None) if url else None


def _git(*words: str) -> str:
    try:
        process = subprocess.run(["git", *words], capture_output=True, text=True, check=False)  # noqa: S603, S607 (the user's own git)
    except FileNotFoundError:
        return ""
    return process.stdout.strip() if process.returncode == 0 else ""


def project_of(api: Api, name: str | None) -> str:
    """Return the id of the meant project: as named, else this folder's, else the only one."""
    if name is not None:
        return name
    projects: dict[str, Json] = api.get("/ci/projects")
    here = checkout()
    if here is not None:
        by_url = [pid for pid, project in projects.items() if project["repo_url"] == here.url]
        if here.project in projects:
            return here.project
        if len(by_url) == 1:
            return by_url[0]
    if len(projects) == 1:
        return next(iter(projects))
    if not projects:
        raise CliError("you have no project: `berth ci run` in a clone of a repository makes one", NOT_FOUND)
    raise CliError(f"which project? Name one with --project: {', '.join(sorted(projects))}", USAGE)


def path(project: str, build: str | None = None) -> str:
    """Return the path of a project's builds, or of one of them. Pure."""
    base = f"/ci/project/{escaped(project)}/job"
    return base if build is None else f"{base}/{escaped(build)}"


def builds(api: Api, project: str) -> list[Json]:
    """List a project's builds, the newest first."""
    return list(api.get(path(project))["jobs"])


def build_of(there: list[Json], word: str | None) -> str:
    """Decide which build is meant: by its id or some of its digits, else the newest. Raises CliError. Pure."""
    if not there:
        raise CliError("this project has no build: `berth ci run` starts one", NOT_FOUND)
    if word is None:
        return str(there[0]["id"])
    matches = [
        str(build["id"])
        for build in there
        if build["id"] == word
        or (len(word) >= LEAST_DIGITS and (build["id"].startswith(word) or build["id"].endswith(word)))
    ]
    if len(matches) != 1:
        what = f"several builds begin or end with {word}" if matches else f"there is no build {word}"
        raise CliError(f"{what}: `berth ci list` shows them", FAILED if matches else NOT_FOUND)
    return matches[0]


def follow(api: Api, project: str, build: str, line: Callable[[str], None], status: Callable[[str], None]) -> str:
    """Read a log while it grows, across broken connections; returns the build's final status."""
    last: str | None = None
    last_event = time.monotonic()
    while True:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last is not None else {})
        try:
            for event in events(api.lines(f"{path(project, build)}/log?follow", headers)):
                last, last_event = event.id or last, time.monotonic()
                if event.name == LINE:
                    line(event.data)
                elif event.name == "status":
                    status(event.data)
                elif event.name == "end":
                    return event.data
        except Refused as error:
            if error.code != UNREACHABLE or time.monotonic() - last_event > PATIENCE_SECONDS:
                raise
        if time.monotonic() - last_event > PATIENCE_SECONDS:
            raise CliError("the log breaks off again and again: repeat the command", UNREACHABLE)
        time.sleep(1)
