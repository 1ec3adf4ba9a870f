"""Parameters of routes: ids, the caller, the body, and the state that requests share."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Depends, Path, Request
from fastapi.security import HTTPBearer
from starlette.convertors import Convertor, register_url_convertor

from berth_api.auth import access
from berth_api.auth.authentication import Standing
from berth_api.auth.identity import Identity
from berth_api.http.bodies import get_body
from berth_api.http.client_address import Address
from berth_api.http.errors import BadRequestError
from berth_api.state import State


class PublicIdConvertor(Convertor[str]):
    """An id in a path: a UUID. Anything else matches no route and so is an unrecognized command."""

    regex = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

    def convert(self, value: str) -> str:
        """Return the canonical spelling."""
        return value.lower()

    def to_string(self, value: str) -> str:
        """Return the id."""
        return value


class TypeNameConvertor(Convertor[str]):
    """A workspace type in a path."""

    regex = "[A-Za-z_0-9]{1,128}"

    def convert(self, value: str) -> str:
        """Return the name."""
        return value

    def to_string(self, value: str) -> str:
        """Return the name."""
        return value


register_url_convertor("id", PublicIdConvertor())
register_url_convertor("type", TypeNameConvertor())

InstanceId = Annotated[str, Path(description="Id of an instance.")]
DeploymentId = Annotated[str, Path(description="Id of a workspace deployment.")]
TypeName = Annotated[str, Path(description="Name of a workspace type.")]


async def get_state(request: Request) -> State:
    """Return the state that all requests share."""
    state: State = request.app.state.berth
    return state


SharedState = Annotated[State, Depends(get_state)]


async def get_caller(request: Request) -> Identity | None:
    """Return the caller; a token that does not count is treated as none."""
    standing: Standing = request.state.standing
    return standing.identity


async def get_user(request: Request) -> Identity:
    """Return the caller. Raises WrongTokenError, and AwayError while the token cannot be judged."""
    standing: Standing = request.state.standing
    if standing.refusal is not None:
        raise standing.refusal
    return access.present(standing.identity)


_BEARER: Final = HTTPBearer(auto_error=False, bearerFormat="JWT", description="RS256; `berth token create` makes it.")
# HTTPBearer is there for the OpenAPI document; the token is read by get_user.
Caller = Annotated[Identity | None, Depends(get_caller)]
User = Annotated[Identity, Depends(get_user)]
BEARER: Final = [Depends(_BEARER)]


async def get_peer(request: Request) -> Address:
    """Return the caller's address."""
    peer: Address | None = request.state.peer
    if peer is None:
        raise BadRequestError("the caller's address is not known")
    return peer


Peer = Annotated[Address, Depends(get_peer)]


Body = Annotated[Mapping[str, Any], Depends(get_body)]


async def get_query(request: Request) -> Mapping[str, str]:
    """Return the query parameters; of a repeated one the last value counts."""
    return request.query_params


Query = Annotated[Mapping[str, str], Depends(get_query)]
