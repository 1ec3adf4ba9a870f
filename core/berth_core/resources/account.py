"""Account: what Berth knows of a user beyond his tokens."""

from typing import ClassVar

from pydantic import Field

from berth_core.model import Model, Name, Time
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


class Account(Resource):
    """A user's account."""

    KIND: ClassVar[str] = "Account"
    PLURAL: ClassVar[str] = "accounts"
    SHORT: ClassVar[str] = "acct"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.user",)
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
