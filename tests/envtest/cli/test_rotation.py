"""`berth key`: rotation, removal, and what a crash between two writes leaves."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from amount import but_first

from berth_cli.admin.keys import rotation
from berth_cli.admin.keys.keyring import Row
from berth_cli.admin.keys.publishing import CONFIGMAPS, SECRETS
from berth_cli.jobs.keys import ensure_keys
from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.connection import connect
from berth_core.kube.types import Object
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces

from .conftest import Done, Run


class Setting:
    """An installation with one key, and its administrator."""

    def __init__(self, client: Client, namespaces: Namespaces, berth: Run, words: list[str]) -> None:
        self.client, self.namespaces, self._berth, self._words = client, namespaces, berth, words

    def token(self, user: str = "alice") -> str:
        done = self._berth("token", "create", "--user", user, *self._words)
        assert done.code == 0, done.err
        return str(done.out.strip())

    async def rows(self) -> list[Row]:
        """Rows that `berth key list` shows."""
        return await rotation.listing(self.client, self.namespaces.release)

    def key(self, *words: str) -> Done:
        return self._berth("key", *words, "-n", self.namespaces.release)

    def remove(self, kid: str, *words: str) -> Done:
        return self._berth("key", "remove", kid, *words, *self._words)

    async def let_time_come(self) -> None:
        """Date the activation of the next key back."""
        body: Object = {"metadata": {"annotations": {names.NEXT_FROM_ANNOTATION: "2026-01-01T00:00:00Z"}}}
        await self.client.patch(SECRETS, self.namespaces.release, names.SIGNING_SECRET, body)

    async def verifies(self, token: str) -> bool:
        """Whether the published keys verify a token, as a replica would."""
        found = await self.client.get(CONFIGMAPS, self.namespaces.release, names.VERIFICATION_CONFIGMAP)
        published = jwt.PyJWKSet.from_dict(json.loads(found["data"][names.JWKS_KEY]))
        key = {key.key_id: key.key for key in published.keys}.get(kid_of(token))
        return key is not None and bool(jwt.decode(token, key, algorithms=["RS256"], audience="berth"))


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


@pytest.fixture
def setting(installed: None, client: Client, namespaces: Namespaces, berth: Run, release: list[str]) -> Setting:
    return Setting(client, namespaces, berth, release)


async def test_a_rotated_key_signs_when_its_time_has_come_and_both_verify(setting: Setting) -> None:
    (first,) = await setting.rows()
    done = setting.key("rotate")
    assert done.code == 0, done.err
    old = setting.token()
    active, waiting = await setting.rows()
    assert active == first
    assert kid_of(old) == first.kid
    assert waiting.verifies
    assert f"key {waiting.kid} is published, and signs tokens from {waiting.signs_from} on" in done.out
    lines = setting.key("list").out.splitlines()
    assert lines[0].split() == ["KID", "SINCE", "SIGNS", "VERIFIES"]
    assert lines[1].split() == [active.kid, active.since, "yes", "yes"]
    assert lines[2].split() == [waiting.kid, waiting.since, "from", waiting.signs_from, "yes"]
    await setting.let_time_come()
    new = setting.token()
    assert kid_of(new) == waiting.kid
    assert await setting.verifies(old)
    assert await setting.verifies(new)


async def test_a_second_rotation_joins_the_first_and_now_ends_the_wait(setting: Setting) -> None:
    (first,) = await setting.rows()
    begun = await rotation.rotate(setting.client, setting.namespaces.release, at_once=False)
    again = setting.key("rotate")
    waiting = (await setting.rows())[1]
    assert waiting.kid == begun.kid
    assert f"key {waiting.kid} was begun before, and signs tokens from {waiting.signs_from} on" in again.out
    at_once = setting.key("rotate", "--now")
    assert at_once.code == 0
    assert "signs tokens now" in at_once.out
    assert f"`berth key remove {first.kid}`" in at_once.out
    listed = json.loads(setting.key("list", "-o", "json").out)
    assert [(row["kid"], row["signs"]) for row in listed] == [(waiting.kid, True), (first.kid, False)]


async def test_a_removed_key_ends_its_tokens_and_no_others(setting: Setting) -> None:
    (first,) = await setting.rows()
    old = setting.token("bob")
    refused = setting.remove(first.kid, "--yes")
    assert (refused.code, refused.out) == (1, "")
    assert "make another with `berth key rotate`" in refused.err
    await rotation.rotate(setting.client, setting.namespaces.release, at_once=True)
    new = setting.token()
    asked = setting.remove(first.kid)
    assert (asked.code, asked.out) == (2, "")
    assert asked.err.splitlines()[0].endswith(" of bob")
    assert "--yes" in asked.err
    assert await setting.verifies(old)
    assert setting.remove(first.kid, "--yes").code == 0
    await ensure_keys(setting.client, setting.namespaces.release, datetime.now(UTC))
    assert not await setting.verifies(old)
    assert await setting.verifies(new)
    assert len(await setting.rows()) == 1
    gone = setting.remove(first.kid, "--yes")
    assert gone.code == 4
    assert "berth key list" in gone.err


async def test_removing_the_next_key_ends_the_rotation(setting: Setting) -> None:
    before = await setting.rows()
    done = await rotation.rotate(setting.client, setting.namespaces.release, at_once=False)
    assert setting.remove(done.kid, "--yes").code == 0
    await setting.let_time_come()
    assert await setting.rows() == before


async def test_administrators_who_rotate_at_once_agree_on_one_key(setting: Setting) -> None:
    work = (rotation.rotate(setting.client, setting.namespaces.release, at_once=False) for _ in range(4))
    done = await asyncio.gather(*work)
    assert len({one.kid for one in done}) == 1
    assert len(await setting.rows()) == 2


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
@pytest.mark.parametrize("at_once", but_first(True, False))
async def test_a_rotation_that_was_cut_off_is_harmless_and_finished_by_a_repeat(
    setting: Setting, apiserver: ApiServer, client: Client, writes: int, at_once: bool
) -> None:
    namespace = setting.namespaces.release
    first = (await rotation.listing(client, namespace))[0].kid
    cut = await crashes(apiserver, lambda dies: rotation.rotate(dies, namespace, at_once=at_once), writes)
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
    setting: Setting, apiserver: ApiServer, client: Client, writes: int
) -> None:
    namespace = setting.namespaces.release
    done = await rotation.rotate(client, namespace, at_once=True)
    assert await crashes(apiserver, lambda dies: rotation.remove(dies, namespace, done.before), writes)
    found = await rotation.removal(client, namespace, setting.namespaces.access, done.before)
    assert found.tokens == ()
    await rotation.remove(client, namespace, done.before)
    assert [row.kid for row in await rotation.listing(client, namespace)] == [done.kid]
