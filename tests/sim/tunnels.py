"""VPNs of instances: clients are added and revoked, over HTTP and with kubectl; what was signed goes with the lease."""

from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any, ClassVar, Final

from berth_core import names
from berth_core.ids import instance_id
from berth_core.kube.types import Object
from berth_core.vpn import Protocol, Tunnel
from berth_operator.kinds import VPN_CLIENTS
from berth_operator.settings.config import VpnSettings

from .cluster import ACCESS, LAB
from .part import Part
from .plan import Event
from .users import Users

SETTINGS: Final = VpnSettings("vpn:1", Tunnel(Protocol.UDP, IPv4Network("10.92.0.0/24"), names.VPN_PORT))


class Tunnels(Part):
    """All VPNs of a history."""

    OPERATOR: ClassVar[Mapping[str, Any]] = {"vpn": SETTINGS}

    # ---- what people do

    def vpn_launch(self, users: Users, event: Event) -> None:
        """Get an instance with a VPN."""
        if event.other < 0.6:
            users.launch(event.user, reserve=event.chance < 0.3, expire=None, vpn=True)
        else:
            self.stage.instance(event.user, vpn=True)

    def vpn_add(self, users: Users, event: Event) -> None:
        """Add a client to a VPN."""
        for obj in self._one(event):
            public_id = instance_id(obj["metadata"]["name"], obj["metadata"]["uid"])
            if event.other < 0.6:
                users.ask(obj["spec"]["user"], f"/vpn/{public_id}", {}, lambda *_: None, f"key-{self.stage.number()}")
            else:
                self.stage.made(VPN_CLIENTS, f"c-{self.stage.number()}", {"instance": public_id}, "kubectl")

    def vpn_revoke(self, users: Users, event: Event) -> None:
        """Revoke a client."""
        clients = self.stage.cluster.store.all("vpnclients", LAB)
        if not clients:
            return
        client = clients[int(event.chance * len(clients))]
        if event.other < 0.5:
            path = f"/revoke/{client['spec']['instance']}.{client['metadata']['uid']}"
            users.ask(self._user_of(client["spec"]["instance"]), path, {}, lambda *_: None)
        else:
            self.stage.cluster.write("DELETE", VPN_CLIENTS, client["metadata"]["name"], sender="kubectl")

    def _one(self, event: Event) -> list[Object]:
        found = [
            obj for obj in self.stage.active() if obj["spec"].get("vpn") and (obj.get("status") or {}).get("readyTime")
        ]
        return [found[int(event.chance * len(found))]] if found else []

    def _user_of(self, public_id: str) -> str:
        return next((str(obj["spec"]["user"]) for obj in self._instances() if _id(obj) == public_id), "ada")

    def _instances(self) -> list[Object]:
        return self.stage.cluster.store.all("instances", LAB)

    # ---- what must hold

    def at_peace(self) -> None:
        store, violated = self.stage.cluster.store, self.stage.cluster.violated
        clients = store.all("vpnclients", LAB)
        profiles = {obj["metadata"]["name"] for obj in store.all("secrets", ACCESS)}
        for obj in self._instances():
            status: dict[str, Any] = obj.get("status") or {}
            if not obj["spec"].get("vpn") or status.get("reason") or not status.get("readyTime"):
                continue
            living = {c["metadata"]["uid"] for c in clients if c["spec"]["instance"] == _id(obj)}
            issued = set((status.get("vpn") or {}).get("issued") or ())
            if self._is_served(obj) and not all(names.vpn_profile(uid) in profiles for uid in living):
                violated("vpn: a client has no profile though all is quiet")
            if any(names.vpn_profile(uid) in profiles for uid in issued - living):
                violated("I6: the profile of a client that was revoked is left")
            for pod in self.stage.nodes.running.values():
                if pod.holder == _id(obj) and not pod.hook and not issued - living <= pod.refused:
                    violated("vpn: a client that was revoked is let in though all is quiet")

    def _is_served(self, obj: Object) -> bool:
        return any(c["type"] == "VPNReady" and c["status"] == "True" for c in obj["status"].get("conditions") or ())

    def at_the_end(self) -> None:
        store, violated = self.stage.cluster.store, self.stage.cluster.violated
        if store.all("vpnclients", LAB):
            violated("I5: clients of a VPN that has ended are left")
        if any(names.INSTANCE_LABEL in (o["metadata"].get("labels") or {}) for o in store.all("secrets", ACCESS)):
            violated("I6: profiles of a VPN that has ended are left")


def _id(obj: Object) -> str:
    return instance_id(obj["metadata"]["name"], obj["metadata"]["uid"])
