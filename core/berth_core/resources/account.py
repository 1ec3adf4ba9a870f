"""Account: settings of a user, and the user's leases under way."""

from typing import ClassVar

from pydantic import Field

from berth_core.kube.model import Model, Name, Time
from berth_core.resources.base import Column, Resource, Rule


class PasswordSecret(Model):
    """A Secret in the Account's namespace, with the password's argon2id hash under the key `hash`."""

    name: Name = Field(description="Name of the Secret.")


class AccountSpec(Model):
    """Settings of a user. Users need no Account."""

    user: str = Field(
        description="Name of the user, as in the claim `sub` of the user's tokens.", min_length=1, max_length=253
    )
    tokens_valid_after: Time | None = Field(
        None, description="Tokens that were issued before this time are rejected. Never cleared, never earlier."
    )
    password_secret_ref: PasswordSecret | None = Field(
        None,
        description="Secret with the hash of the password that authenticates the user for a purge; absent for no"
        " password.",
    )


class Slot(Model):
    """A place in a quota, held while Berth takes a lease. The taker drops it afterwards."""

    instance: str = Field(
        description="Public id of the instance that the lease is taken for.", min_length=1, max_length=253
    )
    type: str = Field(
        description="typeName of the WorkspaceType whose `limits.maxPerUser` the slot counts towards.",
        min_length=1,
        max_length=128,
    )


class AccountStatus(Model):
    """State that Berth keeps for the user."""

    slots: list[Slot] = Field(
        default_factory=list,
        description="Leases that Berth is taking for the user under a quota. Cleared once taken, since leases count"
        " by themselves.",
        max_length=1000,
    )
    taking: bool | None = Field(None, description="True while there are slots, absent otherwise; a selectable field.")


class Account(Resource):
    """Account of a user: the password's Secret, the end of earlier tokens, and leases that are being taken."""

    KIND: ClassVar[str] = "Account"
    PLURAL: ClassVar[str] = "accounts"
    SHORT: ClassVar[str] = "acct"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.user", ".status.taking")
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="User", json_path=".spec.user", description="Name of the user"),
        Column(
            name="Password", json_path=".spec.passwordSecretRef.name", description="Secret with the password's hash"
        ),
        Column(
            name="Tokens-After",
            json_path=".spec.tokensValidAfter",
            description="Tokens that were issued earlier are rejected",
        ),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="When it was made"),
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
