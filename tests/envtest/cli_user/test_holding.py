"""From what there is to giving it back: `types`, `search`, `new`, `list`, `info`, `extend`, `end`, `queue`."""

import json
import signal
import stat
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from berth_core.kube.types import Object
from berth_core.resources import Instance, Reservation
from berth_core.resources.instance import Repo

from ..api.conftest import made
from ..api.world import World, eventually
from .conftest import Person

pytestmark = pytest.mark.apiserver


def lines_until(process: "subprocess.Popen[str]", wanted: str) -> list[str]:
    """Read lines of standard error until one begins so."""
    assert process.stderr is not None
    seen: list[str] = []
    for line in process.stderr:
        seen.append(line.rstrip("\n"))
        if line.startswith(wanted):
            return seen
    raise AssertionError(f"no line began with {wanted!r}: {seen}")


def key_pair(folder: Path) -> Path:
    """Make a key pair; the private half's path."""
    own = folder / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ada", "-f", str(own)], check=True)
    return own


async def test_types_and_deployments_say_what_is_free(world: World, alice: httpx.AsyncClient, person: Person) -> None:
    kind = await world.type()
    first = await world.deployment(kind, region="roof", description="The one with the gripper")
    second = await world.deployment(kind, region="cellar")
    await made(alice, first)
    ada = person("ada")
    row = next(row for row in json.loads(ada.berth("types", "-o", "json").out) if row["type"] == kind)
    assert row == {"type": kind, "deployments": 2, "free": 1, "regions": ["cellar", "roof"], "queuelen": 0}
    shown = ada.berth("search", "--type", kind)
    assert [line.split()[0] for line in shown.out.splitlines()] == ["DEPLOYMENT", second, first]
    assert shown.out.splitlines()[1].split()[2:] == ["cellar", "free", "0"]
    assert ada.berth("search", "GRIPPER", "-o", "name").out.split() == [first]
    assert ada.berth("search", "-t", kind, "--free", "-o", "name").out.split() == [second]
    assert "The one with the gripper" in ada.berth("search", "-t", kind, "-o", "wide").out
    nothing = ada.berth("search", "no such words")
    assert (nothing.code, nothing.out) == (0, "")
    assert "`berth types` shows all types" in nothing.err
    queue = json.loads(ada.berth("queue", kind, "-o", "json").out)
    assert {one["id"]: one["qlen"] for one in queue} == {first: 1, second: 0}


async def test_an_instance_from_asking_to_giving_back(world: World, person: Person) -> None:
    kind = await world.type(deployments=1)
    ada = person("ada")
    asked = ada.berth("new", kind, "--for", "2h", "-o", "json")
    assert asked.code == 0, asked.err
    info = json.loads(asked.out)
    id_ = info["id"]
    assert (info["status"], info["type"]) == ("INIT", kind)
    assert info["progress"] == {"bound": False, "pod": False, "network": False}
    key = ada.kept(id_) / "key"
    assert key.read_text().startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert (await world.instance_resource(id_)).spec.expire_after == 7200
    assert ada.berth("ssh").err == f"berth: instance {id_} is INIT: `berth info` shows how far it is\n"

    await world.make_ready(id_)
    assert ada.berth("list", "-o", "name").out == f"{id_}\n"
    (shown,) = ada.berth("list", "-o", "wide").out.splitlines()[1:]
    assert shown.split()[:3] == [id_, kind, "READY"]
    assert "192.0.2.9:30022" in shown
    for word in ([], [id_], [id_[:13]], [id_[-6:]], [kind]):
        assert yaml.safe_load(ada.berth("info", *word, "-o", "yaml").out)["id"] == id_
    extended = ada.berth("extend", "--for", "90m")
    assert extended.code == 0, extended.err
    assert "(in 1h" in extended.out
    assert (await world.instance_resource(id_)).spec.expire_after is not None

    ended = ada.berth("end")
    assert (ended.code, ended.out) == (0, f"instance {id_} ends\n")
    assert not key.parent.exists()
    assert ada.berth("end", id_).out == f"instance {id_} is TERMINATING already\n"
    assert ada.berth("list", "-a", "-o", "name").out.split() == [id_]
    nothing = ada.berth("info")
    assert nothing.code == 4
    assert "`berth new TYPE` takes one" in nothing.err


async def test_a_repository_is_asked_for_and_what_came_of_it_is_shown(world: World, person: Person) -> None:
    kind, url = await world.type(deployments=1), "https://git.example.test/lab/arm.git"
    ada = person("ada")
    alone = ada.berth("new", kind, "--repo-path", "work")
    assert (alone.code, "add --repo" in alone.err) == (2, True)
    private = ada.berth("new", kind, "--repo", "git@git.example.test:arm.git")
    assert (private.code, "with your own credentials" in private.err) == (1, True)
    id_ = ada.berth("new", kind, "--repo", url, "--repo-path", "work", "-o", "name").out.strip()
    assert (await world.instance_resource(id_)).spec.repo == Repo(url=url, path="work")
    assert "not cloned: not yet" in ada.berth("info").out
    await world.make_ready(id_)
    await world.as_operator(id_, conditions={"RepositoryReady": "True"})
    assert "/root/work" in ada.berth("info").out
    assert ada.berth("end").code == 0


async def test_which_instance_is_meant_must_be_clear(world: World, person: Person) -> None:
    kind = await world.type(deployments=2)
    ada = person("ada")
    both = [ada.berth("new", kind, "-o", "name").out.strip() for _ in range(2)]
    asked = ada.berth("info")
    assert asked.code == 1
    assert all(f"{id_} ({kind}, INIT)" in asked.err for id_ in both)
    assert ada.berth("info", "nothing-like-it").code == 4
    assert ada.berth("end", "--all").out.count(" ends\n") == 2


async def test_a_key_of_ones_own_is_sent_and_remembered(world: World, person: Person) -> None:
    kind = await world.type(deployments=1)
    ada = person("ada")
    own = key_pair(ada.home)
    public = own.with_suffix(".pub").read_text().strip()
    for given in ("id", "id.pub"):
        id_ = ada.berth("new", kind, "--key", given, "-o", "name").out.strip()
        assert (await world.instance_resource(id_)).spec.ssh_keys == [public]
        assert (ada.kept(id_) / "identity").read_text() == f"{own}\n"
        assert not (ada.kept(id_) / "key").exists()
        ada.berth("end", id_)
        await world.as_operator(id_, reason="Terminated", endTime="2026-01-01T00:00:00Z", conditions={"Ended": "True"})
        kind = await world.type(deployments=1)
    own.with_suffix(".pub").unlink()
    id_ = ada.berth("new", kind, "--key", "id", "-o", "name").out.strip()
    assert (await world.instance_resource(id_)).spec.ssh_keys[0].split()[:2] == public.split()[:2]
    wrong = ada.home / "wrong.pub"
    wrong.write_text(own.read_text())
    refused = ada.berth("new", kind, "--key", "wrong.pub")
    assert refused.code == 2
    assert "holds a private key: it was not sent" in refused.err


@pytest.mark.release(twin="tests/envtest/api/test_s5_reservations.py")
async def test_busy_says_how_to_wait_and_a_place_is_given_up(
    world: World, alice: httpx.AsyncClient, person: Person
) -> None:
    kind = await world.type(deployments=1)
    await made(alice, kind)
    ada = person("ada")
    busy = ada.berth("new", kind)
    assert (busy.code, busy.out) == (6, "")
    assert busy.err.endswith("Try again later. --reserve waits in the queue\n")
    place = ada.berth("new", kind, "--reserve", "-o", "name").out.strip()
    shown = ada.berth("reservations").out.splitlines()
    assert shown[1].split()[:4] == [place, "type", kind, "1"]
    assert json.loads(ada.berth("reservations", "list", "-o", "json").out)[0]["id"] == place
    assert ada.berth("reservations", "-o", "name").out == f"{place}\n"
    assert ada.berth("reservations", "-o", "name", "cancel", place).code == 2
    assert ada.berth("reservations", "cancel", place).out == f"reservation {place} is given up\n"
    assert ada.berth("reservations", "cancel", place).code == 4
    assert "you wait for nothing" in ada.berth("reservations").err


async def test_waiting_shows_each_step_and_ends_at_ready(world: World, person: Person) -> None:
    kind = await world.type(deployments=1)
    ada = person("ada")
    with ada.begins("new", kind, "--wait", "--vpn", "-o", "json") as process:
        lines_until(process, "machine …")
        id_ = ada.berth("list", "-o", "name").out.strip()
        await world.bind(id_)
        lines_until(process, "machine ✓  pod …")
        await world.as_operator(id_, conditions={"PodReady": "True"})
        lines_until(process, "machine ✓  pod ✓  network …")
        await world.make_ready(id_)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out)["status"] == "READY"


@pytest.mark.release(twin="tests/envtest/cli_user/test_holding.py::test_waiting_shows_each_step_and_ends_at_ready")
async def test_waiting_in_the_queue_goes_on_with_the_instance_of_the_turn(
    world: World, alice: httpx.AsyncClient, person: Person
) -> None:
    kind = await world.type(deployments=1)
    held = await made(alice, kind)
    ada = person("ada")
    with ada.begins("new", kind, "--reserve", "--wait", "-o", "name") as process:
        assert lines_until(process, "queue: place 1")
        place = ada.berth("reservations", "list", "-o", "json").out
        (reservation,) = json.loads(place)
        # As the operator does when the turn comes.
        deployment = (await alice.get(f"/instance/{held}")).json()["deployment"]
        name = (await world.deployment_resource(deployment)).metadata.name
        spec: Object = {"user": ada.name, "deployments": [name], "claim": {"deployment": name, "epoch": 1}}
        body: Object = {"apiVersion": "berth.dev/v1alpha1", "kind": "Instance"}
        body |= {"metadata": {"name": reservation["instance"]}, "spec": spec}
        where = world.namespaces.workspaces
        await world.client.create(Instance.api(), where, body)
        await world.client.delete(Reservation.api(), where, reservation["id"])
        await world.make_ready(reservation["instance"])
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == f"{reservation['instance']}\n"


@pytest.mark.release(twin="tests/envtest/cli_user/test_holding.py::test_waiting_shows_each_step_and_ends_at_ready")
@pytest.mark.parametrize("reserved", [True, False])
async def test_an_interruption_cancels_or_leaves_as_told(
    world: World, alice: httpx.AsyncClient, person: Person, reserved: bool
) -> None:
    kind = await world.type(deployments=1)
    if reserved:
        await made(alice, kind)
    ada = person("ada")
    for told, said in (("leave", "goes on"), ("cancel", "is given up" if reserved else "ends")):
        with ada.begins("new", kind, "--reserve", "--wait", "--on-interrupt", told) as process:
            lines_until(process, "queue: place" if reserved else "machine …")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        last = err.splitlines()[-1]
        assert last.startswith("berth: interrupted: ")
        assert said in last
        if told == "leave":
            end = last[last.index("`berth ") + 7 : -len("` gives it up")].split()
            assert ada.berth(*end).code == 0
            if not reserved:
                kind = await world.type(deployments=1)
    assert ada.berth("list").out == ada.berth("reservations").out == ""


async def test_a_wait_ends_with_the_time_that_is_given(world: World, person: Person) -> None:
    kind = await world.type(deployments=1)
    late = person("ada").berth("new", kind, "--wait", "--timeout", "1s")
    assert late.code == 7
    assert "is not ready in the time of --timeout" in late.err


async def test_what_fails_to_start_says_why(world: World, person: Person) -> None:
    kind = await world.type(deployments=1)
    ada = person("ada")
    with ada.begins("new", kind, "--wait") as process:
        lines_until(process, "machine …")
        id_ = ada.berth("list", "-o", "name").out.strip()
        await world.as_operator(id_, reason="StartFailed", message="the image cannot be pulled")
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"berth: instance {id_} is INIT_FAIL: the image cannot be pulled" in err


async def test_ended_is_waited_for(world: World, person: Person) -> None:
    kind = await world.type(deployments=1)
    ada = person("ada")
    id_ = ada.berth("new", kind, "-o", "name").out.strip()
    with ada.begins("end", "--wait") as process:
        lines_until(process, f"instance {id_} is TERMINATING")
        await world.as_operator(id_, reason="Terminated", endTime="2026-01-01T00:00:00Z", conditions={"Ended": "True"})
        process.communicate(timeout=60)
    assert process.returncode == 0

    async def gone() -> bool:
        return id_ not in ada.berth("list", "-o", "name").out

    await eventually(gone)
