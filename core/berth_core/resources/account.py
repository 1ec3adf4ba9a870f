"""Account: what Berth knows of a user beyond his tokens."""

from typing import ClassVar

from pydantic import Field

from berth_core.kube.model import Model, Name, Time
from berth_core.resources.base import Column, Resource, Rule


class PasswordSecret(Model):
    """A Secret in the Account's namespace, with the password's argon2id hash under the key `hash`."""

    name: Name = Field(description="Its name.")


class AccountSpec(Model):
    """What is set about a user. Users without an Account are users too."""

    user: str = Field(description="The user's name, as `sub` of his tokens has it.", min_length=1, max_length=253)
    tokens_valid_after: Time | None = Field(
        None, description="Tokens that were issued before this time do not count. Never cleared, never earlier."
    )
    password_secret_ref: PasswordSecret | None = Field(
        None, description="Hash of the password that proves who asks for a purge; absent for no password."
    )


class Slot(Model):
    """A place in a quota that is taken while a lease is being taken; whoever takes the lease drops it."""

    instance: str = Field(
        description="Public id of the instance that is to have the lease.", min_length=1, max_length=253
    )
    type: str = Field(description="typeName whose `limits.maxPerUser` it counts for.", min_length=1, max_length=128)


class AccountStatus(Model):
    """What is under way for the user."""

    slots: list[Slot] = Field(
        default_factory=list,
        description="Leases that are being taken under a quota. Cleared once taken: leases count by themselves.",
        max_length=1000,
    )
    taking: bool | None = Field(None, description="True while there are slots; a selectable field.")


class Account(Resource):
    """A user's account."""

    KIND: ClassVar[str] = "Account"
    PLURAL: ClassVar[str] = "accounts"
    SHORT: ClassVar[str] = "acct"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.user", ".status.taking")
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="User", json_path=".spec.user", description="Who"),
        Column(name="Password", json_path=".spec.passwordSecretRef.name", description="Secret with its hash"),
        Column(
            name="Tokens-After", json_path=".spec.tokensValidAfter", description="Earlier tokens do not count any more"
        ),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="Since when it exists"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(rule="self.spec.user == oldSelf.spec.user", message="spec.user cannot be changed: make another Account"),
        Rule(
            rule="!has(oldSelf.spec.tokensValidAfter) || (has(self.spec.tokensValidAfter)"
            " && self.spec.tokensValidAfter >= oldSelf.spec.tokensValidAfter)",
            message="spec.tokensValidAfter never goes back: tokens that were ended stay ended",
        ),
    )

    spec: AccountSpec
    status: AccountStatus = Field(default_factory=AccountStatus)
