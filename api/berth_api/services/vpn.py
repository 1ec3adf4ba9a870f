"""An instance's VPN. None is ever ready yet: what can be told is whether one was asked for."""

from typing import NoReturn

from berth_api.auth import access
from berth_api.auth.access import Scope
from berth_api.auth.identity import Identity
from berth_api.errors import INSTANCE_BUSY, BadRequestError, BusyError, MissingError
from berth_api.services import instances, lookups
from berth_api.state import State
from berth_core.resources import Instance


async def instance_of(state: State, identity: Identity, instance_id: str) -> Instance:
    """Read the instance, live. Raises BadRequestError where it ends or has ended."""
    found = await lookups.instance_for(state, identity, instance_id)
    instances.need_active(found)
    return found


async def add_client(state: State, identity: Identity, instance_id: str) -> NoReturn:
    """Make a client. No VPN becomes ready yet: raises BusyError, or BadRequestError where none was asked for."""
    found = await _changeable(state, identity, instance_id)
    if not found.spec.vpn:
        raise BadRequestError("this instance has no VPN: ask for one with `vpn` when it is made")
    raise BusyError(INSTANCE_BUSY)


async def revoke_client(state: State, identity: Identity, instance_id: str, client_id: str) -> NoReturn:
    """Revoke a client. Raises MissingError: as long as no VPN becomes ready there is none of any id."""
    del client_id
    await _changeable(state, identity, instance_id)
    raise MissingError("client not found")


async def _changeable(state: State, identity: Identity, instance_id: str) -> Instance:
    access.need_instance(identity, instance_id)
    access.need_write(identity, Scope.CHANGE)
    return await instance_of(state, identity, instance_id)
