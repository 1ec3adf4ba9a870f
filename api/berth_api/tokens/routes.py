"""The end of tokens: /revoke, /purge."""

import base64
import binascii
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Request
from fastapi.openapi.models import HTTPBase
from fastapi.security.base import SecurityBase
from starlette.convertors import Convertor, register_url_convertor

from berth_api.auth.authentication import Standing
from berth_api.auth.identity import Identity
from berth_api.auth.passwords import AuthenticationFailedError, Pair
from berth_api.dependencies import BEARER, SharedState
from berth_api.http.answers import Empty
from berth_api.http.bodies import bound
from berth_api.http.errors import WrongTokenError
from berth_api.http.requests import refusals
from berth_api.tokens import service
from berth_api.tokens.schemas import PurgeRequest

router = APIRouter(tags=["tokens"])

AWAY: Final = "The cluster is out of reach, or the change has not come back from it yet: repeating it is safe."
REVOKE_REFUSALS: Final = refusals(_400="The token does not count, or may not revoke another.", _503=AWAY)
PURGE_REFUSALS: Final = refusals(
    _400="Neither the pair nor the token proves who asks, or the token is for one instance or for reading only.",
    _429="Too many wrong passwords of this user, or from this peer.",
    _503=AWAY,
)


class DigestConvertor(Convertor[str]):
    """A SHA-256 in a path, in hex."""

    regex = "[0-9a-fA-F]{64}"

    def convert(self, value: str) -> str:
        """Return the canonical spelling."""
        return value.lower()

    def to_string(self, value: str) -> str:
        """Return the digest."""
        return value


register_url_convertor("sha256", DigestConvertor())

Digest = Annotated[str, Path(description="SHA-256 of the token's text, in hex.", pattern="^[0-9a-fA-F]{64}$")]


class DescribedBasic(SecurityBase):
    """HTTP Basic for the OpenAPI document; :func:`pair_of` reads the pair, with Berth's own refusals."""

    def __init__(self) -> None:
        self.model = HTTPBase(scheme="basic", description="The user's name and password, for a purge.")
        self.scheme_name = "HTTPBasic"

    async def __call__(self) -> None:
        """Read nothing."""


PAIR_OR_BEARER: Final = [Depends(DescribedBasic()), *BEARER]


async def get_prover(request: Request) -> Identity:
    """Return the caller, proved by a token. Raises AuthenticationFailedError; AwayError while it cannot be judged."""
    standing: Standing = request.state.standing
    if standing.identity is not None:
        return standing.identity
    if standing.refusal is None or isinstance(standing.refusal, WrongTokenError):
        raise AuthenticationFailedError
    raise standing.refusal


Prover = Annotated[Identity, Depends(get_prover)]


@router.post(
    "/revoke/{sha256:sha256}",
    summary="End a token",
    responses=REVOKE_REFUSALS,
    response_class=Empty,
    dependencies=BEARER,
)
async def revoke(state: SharedState, user: Prover, sha256: Digest) -> Empty:
    """End a token of the caller's, this one too; a superuser ends anyone's. An unknown token is revoked in advance."""
    await service.revoke(state, user, sha256)
    return Empty()


@router.post(
    "/purge",
    summary="End all tokens of the user",
    responses=PURGE_REFUSALS,
    response_class=Empty,
    dependencies=PAIR_OR_BEARER,
)
async def purge(request: Request, state: SharedState, options: Annotated[PurgeRequest, bound(PurgeRequest)]) -> Empty:
    """End all tokens issued until now. The proof is a user and password (HTTP Basic, or the body), or else a token.

    Of a pair and a token only the pair is checked; of two pairs that of HTTP Basic.
    """
    request.state.claimed_user = options.user  # for the audit, whatever becomes of it
    pair = pair_of(request.headers.getlist("authorization"), options)
    if pair is None:
        await service.purge_by_token(state, await get_prover(request))
    else:
        request.state.claimed_user = pair.user
        await state.passwords.need_right(pair, request.state.peer)
        request.state.user = pair.user
        await service.purge(state, pair.user)
    return Empty()


def pair_of(authorization: list[str], options: PurgeRequest) -> Pair | None:
    """Return the user and password of a request, None where it has none. Pure.

    Raises AuthenticationFailedError where its credentials are no pair (RFC 7617).
    """
    schemes = [value.partition(" ") for value in authorization]
    basic = [credentials.strip() for scheme, _, credentials in schemes if scheme.lower() == "basic"]
    if basic:
        try:
            user, colon, password = base64.b64decode(basic[0], validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise AuthenticationFailedError from error
        if not colon or len(basic) > 1:
            raise AuthenticationFailedError
        return Pair(user, password)
    if not options.model_fields_set:
        return None
    if not isinstance(options.user, str) or not isinstance(options.password, str):
        raise AuthenticationFailedError
    return Pair(options.user, options.password)
