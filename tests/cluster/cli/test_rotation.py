"""`berth key`: rotation, removal, and what a crash between two writes leaves."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest

from berth_cli import rotation
from berth_cluster.apiserver import ApiServer
from berth_cluster.testing import Namespaces
from berth_core import names
from berth_core.client import Client, connect

from .conftest import Run

SECRET = "secret/berth-token-signing"


class Setting:
    """An installation with one key, and its administrator."""

    def __init__(self, apiserver: ApiServer, namespaces: Namespaces, berth: Run, words: list[str]) -> None:
        self.server, self.namespaces, self._berth, self._words = apiserver, namespaces, berth, words

    def token(self, user: str = "alice") -> str:
        done = self._berth("token", "create", "--user", user, *self._words)
        assert done.code == 0, done.err
        return str(done.out.strip())

    def rows(self) -> list[dict[str, Any]]:
        done = self.key("list", "--output", "json")
        assert done.code == 0, done.err
        found: list[dict[str, Any]] = json.loads(done.out)
        return found

    def signer(self) -> str:
        return str(next(row["kid"] for row in self.rows() if row["signs"]))

    def key(self, *words: str, **more: str) -> Any:
        return self._berth("key", *words, "-n", self.namespaces.release, **more)

    def remove(self, kid: str, *words: str) -> Any:
        return self._berth("key", "remove", kid, *words, *self._words)

    def annotate(self, *words: str) -> None:
        self.server.kubectl("annotate", SECRET, "-n", self.namespaces.release, "--overwrite", *words)

    def verifies(self, token: str) -> bool:
        """Whether the published keys verify a token, as a replica would."""
        path = "jsonpath={.data.jwks\\.json}"
        name = f"configmap/{names.VERIFICATION_CONFIGMAP}"
        text = self.server.kubectl("get", name, "-n", self.namespaces.release, "-o", path)
        published = {key.key_id: key for key in jwt.PyJWKSet.from_dict(json.loads(text)).keys}
        key = published.get(kid_of(token))
        return key is not None and bool(jwt.decode(token, key.key, algorithms=["RS256"], audience="berth"))


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


@pytest.fixture
def setting(apiserver: ApiServer, namespaces: Namespaces, keys_job: Run, berth: Run, release: list[str]) -> Setting:
    assert keys_job().code == 0
    return Setting(apiserver, namespaces, berth, release)


def test_a_rotated_key_signs_when_its_time_has_come_and_both_verify(setting: Setting) -> None:
    first = setting.signer()
    done = setting.key("rotate")
    assert done.code == 0, done.err
    old = setting.token()
    assert kid_of(old) == first
    new_key = next(row for row in setting.rows() if not row["signs"])
    assert new_key["verifies"]
    assert f"key {new_key['kid']} is published, and signs tokens from {new_key['signs_from']} on" in done.out
    setting.annotate(f"{names.NEXT_FROM_ANNOTATION}=2026-01-01T00:00:00Z")
    new = setting.token()
    assert kid_of(new) == new_key["kid"] == setting.signer()
    assert setting.verifies(old)
    assert setting.verifies(new)


def test_a_second_rotation_joins_the_first_and_now_ends_the_wait(setting: Setting) -> None:
    first = setting.signer()
    setting.key("rotate")
    again = setting.key("rotate")
    waiting = setting.rows()[1]
    assert f"key {waiting['kid']} was begun before, and signs tokens from {waiting['signs_from']} on" in again.out
    at_once = setting.key("rotate", "--now")
    assert at_once.code == 0
    assert "signs tokens now" in at_once.out
    assert f"`berth key remove {first}`" in at_once.out
    assert [row["kid"] for row in setting.rows()] == [waiting["kid"], first]
    assert setting.verifies(setting.token())


def test_a_removed_key_ends_its_tokens_and_no_others(setting: Setting, keys_job: Run) -> None:
    first, old = setting.signer(), setting.token("bob")
    refused = setting.remove(first, "--yes")
    assert (refused.code, refused.out) == (1, "")
    assert "make another with `berth key rotate`" in refused.err
    setting.key("rotate", "--now")
    new = setting.token()
    asked = setting.remove(first)
    assert (asked.code, asked.out) == (2, "")
    assert asked.err.splitlines()[0].endswith(" of bob")
    assert "--yes" in asked.err
    assert setting.verifies(old)
    assert setting.remove(first, "--yes").code == 0
    assert keys_job().code == 0
    assert not setting.verifies(old)
    assert setting.verifies(new)
    assert len(setting.rows()) == 1
    gone = setting.remove(first, "--yes")
    assert gone.code == 4
    assert "berth key list" in gone.err


def test_removing_the_next_key_ends_the_rotation(setting: Setting) -> None:
    first = setting.signer()
    setting.key("rotate")
    assert setting.remove(setting.rows()[1]["kid"], "--yes").code == 0
    setting.annotate(f"{names.NEXT_FROM_ANNOTATION}=2026-01-01T00:00:00Z")
    assert [row["kid"] for row in setting.rows()] == [first]
    assert setting.verifies(setting.token())


def test_the_table_of_keys(setting: Setting) -> None:
    setting.key("rotate")
    active, waiting = setting.rows()
    lines = setting.key("list").out.splitlines()
    assert lines[0].split() == ["KID", "SINCE", "SIGNS", "VERIFIES"]
    assert lines[1].split() == [active["kid"], active["since"], "yes", "yes"]
    assert lines[2].split() == [waiting["kid"], waiting["since"], "from", waiting["signs_from"], "yes"]


@pytest.mark.parametrize("words", [("list",), ("rotate",), ("remove", "x", "--yes")])
def test_no_installation_there(berth: Run, namespaces: Namespaces, words: tuple[str, ...]) -> None:
    done = berth("key", *words, "-n", namespaces.access)
    assert (done.code, done.out) == (4, "")
    assert done.err.count("\n") == 1
    assert "--namespace" in done.err


class CrashError(Exception):
    """Our process died."""


@asynccontextmanager
async def dying(server: ApiServer, writes: int) -> AsyncIterator[Client]:
    """A client of a process that dies before it has sent so many writes plus one."""
    left = [writes]

    def before_write() -> None:
        if not left[0]:
            raise CrashError
        left[0] -= 1

    async with await connect(names.CLI_MANAGER, str(server.kubeconfig), before_write=before_write) as client:
        yield client


async def crashes(server: ApiServer, work: Callable[[Client], Any], writes: int) -> bool:
    async with dying(server, writes) as client:
        try:
            await work(client)
        except CrashError:
            return True
    return False


@pytest.mark.parametrize("writes", range(4))
@pytest.mark.parametrize("at_once", [False, True])
async def test_a_rotation_that_was_cut_off_is_harmless_and_finished_by_a_repeat(
    setting: Setting, client: Client, writes: int, at_once: bool
) -> None:
    namespace = setting.namespaces.release
    first = (await rotation.listing(client, namespace))[0].kid
    cut = await crashes(setting.server, lambda dies: rotation.rotate(dies, namespace, at_once=at_once), writes)
    assert cut == (writes < 3)
    if cut:
        assert [row.kid for row in await rotation.listing(client, namespace) if row.signs] == [first]
    done = await rotation.rotate(client, namespace, at_once=at_once)
    rows = {row.kid: row for row in await rotation.listing(client, namespace)}
    if cut:
        assert rows.keys() == {first, done.kid}
    assert all(row.verifies and row.held for row in rows.values())
    assert rows[done.kid].signs == at_once
    assert (rows[done.kid].signs_from is None) == at_once


@pytest.mark.parametrize("writes", range(2))
async def test_a_removal_that_was_cut_off_is_finished_by_a_repeat(
    setting: Setting, client: Client, writes: int
) -> None:
    namespace = setting.namespaces.release
    done = await rotation.rotate(client, namespace, at_once=True)
    assert await crashes(setting.server, lambda dies: rotation.remove(dies, namespace, done.before), writes)
    found = await rotation.removal(client, namespace, setting.namespaces.access, done.before)
    assert found.tokens == ()
    await rotation.remove(client, namespace, done.before)
    assert [row.kid for row in await rotation.listing(client, namespace)] == [done.kid]
