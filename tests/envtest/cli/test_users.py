"""`berth user`: accounts and passwords."""

import base64
import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher

from berth_core import ids
from berth_core.kube.client import Client
from berth_core.kube.errors import NotFoundError
from berth_core.kube.model import timestamp
from berth_core.kube.types import Kind
from berth_core.resources import Account
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces

from .conftest import Run

SECRETS = Kind("v1", "secrets")
PASSWORD = "correct horse battery"


async def stored_hash(client: Client, namespaces: Namespaces, user: str) -> str:
    """The hash that the user's account leads to."""
    account = Account.parse(await client.get(Account.api(), namespaces.access, ids.user_object(user)))
    assert account.spec.user == user
    assert account.spec.password_secret_ref is not None
    secret = await client.get(SECRETS, namespaces.access, account.spec.password_secret_ref.name)
    assert [owner["uid"] for owner in secret["metadata"]["ownerReferences"]] == [account.metadata.uid]
    assert list(secret["data"]) == ["hash"]
    return base64.b64decode(secret["data"]["hash"]).decode()


@pytest.mark.parametrize(("user", "end"), [("alice", ""), ("Älice O'Neil", "\n"), ("oidc:bob", "\r\n")])
async def test_a_password_from_standard_input(
    client: Client, namespaces: Namespaces, berth: Run, access: list[str], user: str, end: str
) -> None:
    done = berth("user", "add", user, "--password-stdin", *access, stdin=f"{PASSWORD}{end}")
    assert (done.code, done.out) == (0, f"{user} has an account with a password\n")
    assert PasswordHasher().verify(await stored_hash(client, namespaces, user), PASSWORD)


async def test_set_password_replaces_it_whole(
    client: Client, namespaces: Namespaces, berth: Run, access: list[str]
) -> None:
    assert berth("user", "add", "alice", "--no-password", *access).code == 0
    assert json.loads(berth("user", "list", "-o", "json", *access).out)[0]["password"] is False
    for password in (PASSWORD, "another horse entirely"):
        assert berth("user", "set-password", "alice", "--password-stdin", *access, stdin=password).code == 0
        assert PasswordHasher().verify(await stored_hash(client, namespaces, "alice"), password)
    row = berth("user", "list", *access).out.splitlines()[1].split()
    assert row[:3] == ["alice", "yes", "-"]


class Terminal:
    """`berth` at a terminal, somebody typing."""

    def __init__(self, apiserver: ApiServer, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "berth_cli.main", *words],
            env=os.environ | {"KUBECONFIG": str(apiserver.kubeconfig), "TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def answer(self, question: str, words: str) -> None:
        """Wait for a question, and type."""
        while question not in self.seen:
            self.seen += os.read(self._ours, 4096).decode()
        self.seen = self.seen.split(question, 1)[1]
        os.write(self._ours, f"{words}\n".encode())

    def rest(self) -> str:
        """Output until the end."""
        try:
            while data := os.read(self._ours, 4096):
                self.seen += data.decode()
        except OSError:  # EIO: Linux says so when the last program has closed the terminal
            os.close(self._ours)
        return self.seen


async def test_a_terminal_asks_twice_and_shows_nothing(
    apiserver: ApiServer, client: Client, namespaces: Namespaces, access: list[str]
) -> None:
    terminal = Terminal(apiserver, "user", "add", "alice", *access)
    terminal.answer("New password of alice: ", PASSWORD)
    terminal.answer("The same again: ", PASSWORD)
    shown = terminal.rest()
    assert terminal.process.wait(timeout=60) == 0
    assert "alice has an account with a password" in shown
    assert PASSWORD not in shown
    assert PasswordHasher().verify(await stored_hash(client, namespaces, "alice"), PASSWORD)


def test_two_different_passwords_change_nothing(apiserver: ApiServer, berth: Run, access: list[str]) -> None:
    terminal = Terminal(apiserver, "user", "add", "alice", *access)
    terminal.answer("New password of alice: ", PASSWORD)
    terminal.answer("The same again: ", f"{PASSWORD}!")
    assert "the two passwords differ" in terminal.rest()
    assert terminal.process.wait(timeout=60) == 2
    assert berth("user", "list", "-o", "json", *access).out == "[]\n"


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (["alice"], PASSWORD, "--password-stdin"),
        (["alice", "--password-stdin"], "elevenchars", "at least 12"),
        (["alice", "--password-stdin"], "a" * 1025, "at most 1024 bytes"),
        (["alice", "--password-stdin"], "ß" * 5000, "at most 1024 bytes"),
        (["alice", "--password-stdin"], f"{PASSWORD}\n{PASSWORD}", "one line"),
        (["alice", "--password-stdin", "--no-password"], PASSWORD, "exclude each other"),
        (["", "--no-password"], "", "printable"),
    ],
)
def test_wrong_wishes_are_wrong_usage(
    berth: Run, access: list[str], words: list[str], stdin: str, message: str
) -> None:
    done = berth("user", "add", *words, *access, stdin=stdin)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert PASSWORD not in done.err


def test_who_has_an_account_and_who_has_none(berth: Run, access: list[str], namespaces: Namespaces) -> None:
    assert "berth user add" in berth("user", "list", *access).err
    assert berth("user", "add", "alice", "--no-password", *access).code == 0
    twice = berth("user", "add", "alice", "--no-password", *access)
    assert (twice.code, twice.err) == (
        1,
        "berth: alice has an account: set its password with `berth user set-password`\n",
    )
    for words in (["set-password", "bob", "--password-stdin"], ["remove", "bob"]):
        nobody = berth("user", *words, *access, stdin=PASSWORD)
        assert nobody.code == 4
        assert "make one with `berth user add`" in nobody.err
    elsewhere = berth("user", "add", "alice", "--no-password", "--access-namespace", f"{namespaces.access}-not")
    assert elsewhere.code == 4
    assert "--access-namespace" in elsewhere.err


async def test_remove_takes_the_password_too(
    client: Client, namespaces: Namespaces, berth: Run, access: list[str]
) -> None:
    berth("user", "add", "alice", "--password-stdin", *access, stdin=PASSWORD)
    assert berth("user", "remove", "alice", *access).out == "the account of alice is gone\n"
    for kind, name in ((Account.api(), "alice"), (SECRETS, "alice-password")):
        with pytest.raises(NotFoundError):
            await client.get(kind, namespaces.access, name)


async def test_remove_brings_no_ended_token_back(
    client: Client, namespaces: Namespaces, berth: Run, installed: None, access: list[str], release: list[str]
) -> None:
    berth("user", "add", "alice", "--no-password", *access)
    old = berth("token", "create", "--user", "alice", *release).err.split()[-1]
    purged = timestamp((datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0))
    body: dict[str, Any] = {"spec": {"tokensValidAfter": purged}}
    await client.patch(Account.api(), namespaces.access, "alice", body)
    new = berth("token", "create", "--user", "alice", *release).err.split()[-1]
    refused = berth("user", "remove", "alice", *access)
    assert (refused.code, refused.out) == (1, "")
    until = timestamp(datetime.fromisoformat(purged) + timedelta(days=366, seconds=1))
    assert f"would count again until {until}" in refused.err
    forced = berth("user", "remove", "alice", "--force", *access)
    assert forced.code == 0, forced.err
    assert f"token {old} is revoked" in forced.out
    assert "1 of alice's tokens still count" in forced.out
    listed = json.loads(berth("token", "list", "-o", "json", *release).out)
    assert {row["sha256"]: row["state"] for row in listed} == {old: "revoked", new: "counts"}
