"""Two tutorials with a real API, operator and command line, where the test plays the nodes.

No container runs here: ssh to the workspace is left out, hooks succeed, and scripts of builds run beside the test.
tests/e2e/test_tutorials.py plays the same pages whole.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import tutorials
from gitting import git

from berth_ci.artifacts import pack
from berth_ci.places import SOURCE
from berth_ci.recipe import FILE, Recipe, parse
from berth_ci.script import rendered
from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_core.kube.errors import NotFoundError
from berth_core.kube.model import timestamp
from berth_core.kube.types import Kind, Object
from berth_core.resources import Build
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.puppets import NODES, Puppets
from berth_dev.envtest.testing import Namespaces

from .ci import artifacts_of, end, log_of
from .test_with_operator import Release, lab, release
from .world import World

__all__ = ["lab", "release"]

pytestmark = [pytest.mark.apiserver, pytest.mark.release(twin="tests/unit/local/test_docs.py")]

JOBS = Kind("batch/v1", "jobs")
NODE = "node-2"
SOURCED = {". .berth/env": "true"}
LEFT_OUT = SOURCED | {"berth ssh -- printenv ROBOT": "true"}
URL = "https://git.example.org/lab/rover.git"
SSH = "#!/bin/sh\necho misty2 is here\n"
"""In place of the program: a script of the tutorial asks a robot for its name."""


@pytest.fixture
def namespaces(apiserver: ApiServer) -> Namespaces:
    """Namespaces of the tutorial's names."""
    named = Namespaces(release="berth", workspaces="berth-workspaces", access="berth-access")
    for name in (named.release, named.workspaces, named.access):
        apiserver.kubectl("create", "namespace", name)
    return named


async def succeed(client: Client, namespace: str) -> None:
    """Report success of each Job of the namespace, as a Job controller does once its pod has ended."""
    seen: set[str] = set()
    while True:
        jobs, _ = await client.list(JOBS, namespace)
        for job in jobs:
            if job["metadata"]["uid"] not in seen:
                seen.add(job["metadata"]["uid"])
                with suppress(NotFoundError):
                    await client.patch(JOBS, namespace, job["metadata"]["name"], _success(), subresource="status")
        await asyncio.sleep(0.1)


def _success() -> Object:
    now = timestamp(datetime.now(UTC).replace(microsecond=0))
    words = ("SuccessCriteriaMet", "Complete")
    conditions = [{"type": word, "status": "True", "lastTransitionTime": now} for word in words]
    return {"status": {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}}


@pytest.fixture
async def node(release: Release) -> AsyncIterator[None]:
    """The tutorial's node, with pods and hooks that are played."""
    workspaces = release.namespaces.workspaces
    async with connected("tests", str(release.server.kubeconfig)) as client, AsyncExitStack() as stack:
        await stack.enter_async_context(Puppets(client, workspaces, NODE, IPv4Address("127.51.7.1")).playing())
        address = {"status": {"addresses": [{"type": "InternalIP", "address": "198.51.100.11"}]}}
        await client.patch(NODES, None, NODE, address, subresource="status")
        jobs = asyncio.create_task(succeed(client, workspaces))
        yield
        jobs.cancel()
        await asyncio.gather(jobs, return_exceptions=True)


def environment(release: Release, home: Path) -> dict[str, str]:
    """Return what `.berth/env` would set, and a home."""
    programs = (str(Path(sys.executable).parent), str(release.server.tools.path("kubectl").parent))
    return {
        "HOME": str(home),
        "PATH": ":".join([*programs, os.environ["PATH"]]),
        "KUBECONFIG": str(release.server.kubeconfig),
        "BERTH_API": release.api.url,
    }


async def build(world: World, repository: Path, folder: Path) -> None:
    """Run each new build of the repository as the operator does, with its script as a process."""
    over: set[str] = set()
    while True:
        found, _ = await world.client.list(Build.api(), world.namespaces.workspaces)
        for name in sorted({one["metadata"]["name"] for one in found} - over):
            over.add(name)
            log, archive, recipe = await asyncio.to_thread(_run, repository, folder / name)
            await end(
                world,
                name,
                message="the script succeeded",
                workspace=recipe.workspace,
                log=await log_of(world, name, log),
                artifacts=await artifacts_of(world, name, archive),
            )
        await asyncio.sleep(0.1)


def _run(repository: Path, tree: Path) -> tuple[bytes, bytes, Recipe]:
    git(repository, "clone", "-q", str(repository), str(tree))
    commit = git(tree, "rev-parse", "HEAD").strip()
    recipe = parse((tree / FILE).read_text(encoding="utf-8"), longest=3600)
    script = rendered(recipe.script, recipe.env).replace(str(SOURCE), str(tree))
    ssh = tree.parent / "bin"
    ssh.mkdir(exist_ok=True)
    (ssh / "ssh").write_text(SSH, encoding="utf-8")
    (ssh / "ssh").chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", script], env={"PATH": f"{ssh}:{os.environ['PATH']}"}, capture_output=True, text=True, check=True
    )
    begun = f"looking into {URL}\ncommit {commit}\ncloning {URL}\nchecked out {commit}\n"
    archive = pack(tree, recipe.artifacts, 1 << 20)
    assert archive is not None
    return (begun + done.stdout).encode(), archive, recipe


def wired(folder: Path) -> Path:
    """Return a bare repository to which pushes to the tutorial's URL go, by the settings of the home `folder`."""
    bare = folder / "rover.git"
    git(folder, "init", "-q", "--bare", "--initial-branch=main", str(bare))
    user = "[user]\nname = Dora\nemail = dora@example.org\n"
    (folder / ".gitconfig").write_text(f'{user}[url "{bare}"]\npushInsteadOf = {URL}\n', encoding="utf-8")
    return bare


@pytest.mark.usefixtures("node")
@pytest.mark.timeout(900)  # two pages, one after the other
async def test_two_tutorials_work_as_they_are_written(release: Release, lab: World, tmp_path: Path) -> None:
    builder = asyncio.create_task(build(lab, wired(tmp_path), tmp_path / "builds"))
    surroundings = environment(release, tmp_path)
    try:
        for page, replaced in (("first-robot.md", LEFT_OUT), ("first-build.md", SOURCED)):
            await asyncio.to_thread(tutorials.play, page, tmp_path, surroundings, replaced)
    finally:
        builder.cancel()
        await asyncio.gather(builder, return_exceptions=True)
