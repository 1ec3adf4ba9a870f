"""An outlet with an SNMP agent, at an address of its own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.entity import config, engine
from pysnmp.entity.rfc3413 import cmdrsp, context
from pysnmp.proto.api import v2c
from pysnmp.smi.instrum import AbstractMibInstrumController

from berth_dev.ports import free_port

from ..operator.robot import address

OID = "1.3.6.1.4.1.318.1.1.4.4.2.1.3.3"
AUTH_KEY = "hunter2-of-auth"
PRIV_KEY = "hunter2-of-priv"
COMMUNITY = "hunter2-of-all"
WORDS = {"on": 1, "off": 2, "cycle": 3}


class _Outlet(AbstractMibInstrumController):  # type: ignore[misc]
    """One object: 1 for on, 2 for off; 3 switches it off and on again."""

    def __init__(self) -> None:
        self.value = 1
        self.heard: list[int] = []

    def read_variables(self, *bound: Any, **_: Any) -> list[Any]:
        """Answer what is asked."""
        return [(name, self._shown(name)) for name, _ in bound]

    def write_variables(self, *bound: Any, **_: Any) -> list[Any]:
        """Do what is told."""
        for _, value in bound:
            self.heard.append(int(value))
            self.value = 1 if int(value) == WORDS["cycle"] else int(value)
        return list(bound)

    def _shown(self, name: Any) -> Any:
        return v2c.Integer32(self.value) if str(name) == OID else v2c.NoSuchObject()


@dataclass
class Agent:
    """An outlet that is on at first; ``heard`` has the numbers that were written."""

    host: str
    port: int
    outlet: _Outlet = field(default_factory=_Outlet)

    @property
    def heard(self) -> list[int]:
        """Numbers that were written."""
        return self.outlet.heard

    def secret(self, *deployments: str, session: dict[str, Any] | None = None, **more: str) -> dict[str, str]:
        """Data of a Secret that works it."""
        v3 = {"user": "berth", "authKey": AUTH_KEY, "privKey": PRIV_KEY}
        snmp = {"address": self.host, "port": self.port} | (v3 if session is None else session)
        orders = {do: json.dumps({"oid": OID, "value": value}) for do, value in WORDS.items()}
        state = json.dumps({"oid": OID, "on": WORDS["on"], "off": WORDS["off"]})
        return orders | {"state": state, "snmp": json.dumps(snmp), "deployments": "\n".join(deployments)} | more


@asynccontextmanager
async def agent() -> AsyncIterator[Agent]:
    """An agent that answers SNMPv3 with both keys, and SNMPv2c with a community."""
    async with address() as host:
        made = Agent(host, free_port())
        snmp = engine.SnmpEngine()
        transport = udp.UdpAsyncioTransport().open_server_mode((host, made.port))
        config.add_transport(snmp, udp.DOMAIN_NAME, transport)
        config.add_v3_user(
            snmp,
            "berth",
            config.USM_AUTH_HMAC192_SHA256,
            AUTH_KEY,
            config.USM_PRIV_CFB128_AES,
            PRIV_KEY,
        )
        every = (1, 3, 6)
        config.add_vacm_user(snmp, 3, "berth", "authPriv", every, every)
        config.add_v1_system(snmp, "everybody", COMMUNITY)
        config.add_vacm_user(snmp, 2, "everybody", "noAuthNoPriv", every, every)
        objects = context.SnmpContext(snmp)
        objects.unregister_context_name(b"")
        objects.register_context_name(b"", made.outlet)
        cmdrsp.GetCommandResponder(snmp, objects)
        cmdrsp.SetCommandResponder(snmp, objects)
        await asyncio.sleep(0.1)
        try:
            yield made
        finally:
            snmp.close_dispatcher()
