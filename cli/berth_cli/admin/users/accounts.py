"""Accounts of users, and the Secrets with the hashes of their passwords. Kept in the access namespace."""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from berth_cli.admin.cluster import server_time
from berth_cli.admin.tokens import records
from berth_cli.admin.tokens.claims import LONGEST_LIFE
from berth_cli.ui.errors import NOT_FOUND, CliError
from berth_cli.ui.reading import readable
from berth_core import ids, names
from berth_core.kube.client import Client
from berth_core.kube.errors import AlreadyExistsError, ConflictError, NotFoundError
from berth_core.kube.model import parse_time, timestamp
from berth_core.kube.types import Kind, Object
from berth_core.resources import Account, AccountSpec, IssuedToken, manifest

SECRETS = Kind("v1", "secrets")


@dataclass(frozen=True)
class Row:
    """One account. Times are RFC 3339, None where they do not apply."""

    user: str
    account: str
    password: bool
    tokens_after: str | None
    since: str

    def wire(self) -> dict[str, Any]:
        """As `--output json` and `yaml` print it."""
        return dict(vars(self))


async def find(client: Client, namespace: str, user: str) -> Account | None:
    """Return a user's Account, None where there is none. Raises CliError where another user's takes its name."""
    name = ids.user_object(user)
    try:
        account = Account.parse(await client.get(Account.api(), namespace, name))
    except NotFoundError:
        return None
    if account.spec.user != user:
        raise CliError(
            f"the Account {name} in namespace {namespace} is {account.spec.user}'s, and {user} needs this name:"
            " delete it, and make accounts with `berth user add`"
        )
    return account


async def add(client: Client, namespace: str, user: str, password_hash: str | None) -> str:
    """Make an account, with a password if a hash is given. Returns what was done."""
    name = ids.user_object(user)
    body = manifest(Account, namespace, name, AccountSpec(user=user), labels={names.MANAGED_BY_LABEL: names.MANAGED_BY})
    try:
        account = Account.parse(await client.create(Account.api(), namespace, body))
    except AlreadyExistsError as error:
        await find(client, namespace, user)
        raise CliError(f"{user} has an account: set its password with `berth user set-password`") from error
    except NotFoundError as error:
        raise CliError(
            f"{error.message}: name the namespace for what users may fetch with --access-namespace,"
            " or install Berth with helm",
            NOT_FOUND,
        ) from error
    if password_hash is None:
        return f"{user} has an account, without a password"
    await _put(client, account, password_hash)
    return f"{user} has an account with a password"


async def set_password(client: Client, namespace: str, user: str, password_hash: str) -> str:
    """Replace the password's hash. Safe to repeat; it also finishes an interrupted `add`."""
    account = await _need(client, namespace, user)
    await _put(client, account, password_hash)
    return f"the password of {user} is set"


async def listing(client: Client, namespace: str) -> list[Row]:
    """Return all accounts, by user."""
    objects, _ = await client.list(Account.api(), namespace)
    rows = [
        Row(
            user=account.spec.user,
            account=account.metadata.name,
            password=account.spec.password_secret_ref is not None,
            tokens_after=account.spec.tokens_valid_after,
            since=account.metadata.creation_timestamp,
        )
        for account in readable(Account, objects)
    ]
    return sorted(rows, key=lambda row: row.user)


async def remove(client: Client, namespace: str, user: str, *, force: bool) -> list[str]:
    """Delete an account and its password, unless tokens that its purge ended would count again.

    With ``force``, recorded ones are revoked one by one first. Returns what was done.
    """
    account = await _need(client, namespace, user)
    now = await server_time(client)
    recorded = await records.issued(client, namespace, user)
    until = purge_matters_until(account, now)
    lines = []
    if until is not None and not force:
        raise CliError(
            f"{user}'s tokens issued before {account.spec.tokens_valid_after} were ended, and would count again until"
            f" {timestamp(until)}: remove the account then, or with --force, which revokes each one that is recorded"
        )
    if until is not None:
        lines = [await _revoke(client, namespace, token) for token in would_return(recorded, account, now)]
        lines.append(f"tokens that Berth has no record of count again, until {timestamp(until)} at most")
    await _delete(client, account)
    lines.append(f"the account of {user} is gone")
    revocations = await records.revocations(client, namespace)
    if live := records.still_counts(recorded, revocations, account.spec.tokens_valid_after, now):
        lines.append(f"{len(live)} of {user}'s tokens still count: `berth token list --user` shows them")
    return lines


def purge_matters_until(account: Account, now: datetime) -> datetime | None:
    """Latest expiry of a token that the account's purge ended; None where all have expired. Pure."""
    after = account.spec.tokens_valid_after
    until = parse_time(after) + LONGEST_LIFE + timedelta(seconds=1) if after else None
    return until if until is not None and until > now else None


def would_return(recorded: list[IssuedToken], account: Account, now: datetime) -> list[IssuedToken]:
    """Tokens that only the account's purge ends. Pure."""
    after = account.spec.tokens_valid_after
    return [
        token
        for token in recorded
        if records.ended_by_purge(token.spec, after) and parse_time(token.spec.expires) > now
    ]


async def _revoke(client: Client, namespace: str, token: IssuedToken) -> str:
    until = await records.revoke(client, namespace, token.spec.sha256, None, parse_time(token.spec.expires))
    return f"token {token.spec.sha256} is revoked; the revocation is kept until {until}"


async def _need(client: Client, namespace: str, user: str) -> Account:
    account = await find(client, namespace, user)
    if account is None:
        raise CliError(
            f"{user} has no account in namespace {namespace}: make one with `berth user add`,"
            " or name another namespace with --access-namespace",
            NOT_FOUND,
        )
    return account


async def _put(client: Client, account: Account, password_hash: str) -> None:
    """Write the Secret first, then its reference, so that an account never names a missing Secret."""
    namespace, name = account.metadata.namespace, account.metadata.name
    secret: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": names.password_secret(name),
            "namespace": namespace,
            "labels": {names.MANAGED_BY_LABEL: names.MANAGED_BY},
            "ownerReferences": [account.reference()],
        },
        "type": "Opaque",
        "data": {names.PASSWORD_HASH: base64.b64encode(password_hash.encode()).decode()},
    }
    await client.apply(SECRETS, secret)
    reference = account.spec.password_secret_ref
    if reference is None or reference.name != names.password_secret(name):
        # The uid makes sure that this is still the same account. No other field is touched, so no version is needed.
        body: Object = {
            "metadata": {"uid": account.metadata.uid},
            "spec": {"passwordSecretRef": {"name": names.password_secret(name)}},
        }
        await client.patch(Account.api(), namespace, name, body)


async def _delete(client: Client, account: Account) -> None:
    """Delete exactly the account that was read: a purge in between changes it and must be considered."""
    namespace, name = account.metadata.namespace, account.metadata.name
    preconditions = {"uid": account.metadata.uid, "resourceVersion": account.metadata.resource_version}
    body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions}
    try:
        await client.request("DELETE", Account.api().path(namespace, name), body=body)
    except ConflictError as error:
        raise CliError(f"the account of {account.spec.user} changed just now: repeat the command") from error
    await client.delete(SECRETS, namespace, names.password_secret(name))
