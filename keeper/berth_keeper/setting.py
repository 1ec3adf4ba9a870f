"""Works an outlet by SNMP: writes a number to an object, and reads one.

A message goes to the address that was checked. SNMPv3 verifies who answers; a community does not.
"""

from typing import Any, Final

from pysnmp.error import PySnmpError
from pysnmp.hlapi.v3arch import asyncio as snmp
from pysnmp.proto.errind import RequestTimedOut

from berth_core.machines.reach import Networks, why_refused
from berth_keeper import outcome
from berth_keeper.outcome import Outcome
from berth_keeper.outlets import Session, SnmpOutlet

SECONDS: Final = 2.0
RETRIES: Final = 2
"""Of a message: an answer may be lost as UDP packets are."""
AUTH: Final = {
    "SHA1": snmp.USM_AUTH_HMAC96_SHA,
    "SHA224": snmp.USM_AUTH_HMAC128_SHA224,
    "SHA256": snmp.USM_AUTH_HMAC192_SHA256,
    "SHA384": snmp.USM_AUTH_HMAC256_SHA384,
    "SHA512": snmp.USM_AUTH_HMAC384_SHA512,
}
PRIV: Final = {
    "AES128": snmp.USM_PRIV_CFB128_AES,
    "AES192": snmp.USM_PRIV_CFB192_AES,
    "AES256": snmp.USM_PRIV_CFB256_AES,
}


async def order(outlet: SnmpOutlet, do: str, networks: Networks) -> Outcome | None:
    """Have an outlet do something; return the failure, None for success."""
    setting = outlet.requests[do]
    answer = await _said(outlet, networks, snmp.set_cmd, setting.oid, snmp.Integer32(setting.value))
    return answer if isinstance(answer, Outcome) else None


async def look(outlet: SnmpOutlet, networks: Networks) -> Outcome | bool | None:
    """Return whether power is on, None where the outlet does not say so, or the failure."""
    state = outlet.state
    if state is None:
        return None
    answer = await _said(outlet, networks, snmp.get_cmd, state.oid)
    if isinstance(answer, Outcome):
        return answer
    return {str(state.on): True, str(state.off): False}.get(answer)


async def _said(outlet: SnmpOutlet, networks: Networks, command: Any, oid: str, *value: Any) -> Outcome | str:
    """Send a message; return the object's value as text, or the failure."""
    if why_refused(outlet.address, networks):
        return Outcome(outcome.UNREACHABLE, f"the outlet's address {outlet.address} is not connected to")
    engine = snmp.SnmpEngine()
    try:
        kind = snmp.UdpTransportTarget if outlet.address.version == 4 else snmp.Udp6TransportTarget
        where = str(outlet.address), outlet.session.port
        target = await kind.create(where, timeout=SECONDS, retries=RETRIES)
        bound = snmp.ObjectType(snmp.ObjectIdentity(oid), *value)
        error, status, _, answer = await command(
            engine, _credentials(outlet.session), target, snmp.ContextData(), bound, lookupMib=False
        )
    except OSError:
        return Outcome(outcome.UNREACHABLE, "no message to the outlet was sent")
    except PySnmpError as refusal:
        return Outcome(outcome.SNMP_FAILED, f"SNMP failed: {type(refusal).__name__}")
    finally:
        engine.close_dispatcher()
    if error is not None:
        if isinstance(error, RequestTimedOut):
            return Outcome(outcome.TIMED_OUT, "the outlet did not answer, or not to these credentials")
        return Outcome(outcome.SNMP_FAILED, f"SNMP failed: {type(error).__name__}")
    if status:
        return Outcome(outcome.SNMP_FAILED, f"the outlet refused: {status.prettyPrint()}"[:200])
    return str(answer[0][1].prettyPrint())


def _credentials(session: Session) -> Any:
    if session.community is not None:
        return snmp.CommunityData(session.community, mpModel=1)  # noqa: S508 - the Secret says plain
    return snmp.UsmUserData(
        session.user,
        session.auth_key,
        session.priv_key,
        authProtocol=AUTH[session.auth],
        privProtocol=PRIV[session.priv],
    )
