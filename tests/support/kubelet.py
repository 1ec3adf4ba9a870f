"""The kubelet's side of a plugin's sockets (k8s.io/kubelet, pkg/kubelet/cm/dra/plugin)."""

from collections.abc import Iterable
from typing import Any, Final

import grpc

from berth_devices.kubelet.protos import dra_pb2 as dra
from berth_devices.kubelet.protos import registration_pb2 as registration

ANSWERS: Final[dict[str, Any]] = {
    "GetInfo": registration.PluginInfo,
    "NotifyRegistrationStatus": registration.RegistrationStatusResponse,
    "NodePrepareResources": dra.NodePrepareResourcesResponse,
    "NodeUnprepareResources": dra.NodeUnprepareResourcesResponse,
}
SECONDS: Final = 30.0


class Kubelet:
    """Calls over one socket, to the service of one version."""

    def __init__(self, socket: object, version: str = "v1") -> None:
        self._channel = grpc.aio.insecure_channel(f"unix:{socket}")
        self._service = f"k8s.io.kubelet.pkg.apis.dra.{version}.DRAPlugin"

    async def info(self) -> registration.PluginInfo:
        """Ask which plugin this is."""
        found: registration.PluginInfo = await self._call(
            "pluginregistration.Registration/GetInfo", registration.InfoRequest()
        )
        return found

    async def tell(self, registered: bool, error: str = "") -> None:
        """Tell whether the plugin was accepted."""
        status = registration.RegistrationStatus(plugin_registered=registered, error=error)
        await self._call("pluginregistration.Registration/NotifyRegistrationStatus", status)

    async def prepare_all(self, claims: Iterable[dra.Claim]) -> dict[str, dra.NodePrepareResourceResponse]:
        """Prepare the claims of a pod; answers by uid."""
        request = dra.NodePrepareResourcesRequest(claims=claims)
        return dict((await self._call(f"{self._service}/NodePrepareResources", request)).claims)

    async def prepare(self, claim: dra.Claim) -> dra.NodePrepareResourceResponse:
        """Prepare one claim."""
        return (await self.prepare_all([claim]))[claim.uid]

    async def unprepare(self, claim: dra.Claim) -> str:
        """Unprepare one claim; return the error's text, empty where it worked."""
        request = dra.NodeUnprepareResourcesRequest(claims=[claim])
        return str((await self._call(f"{self._service}/NodeUnprepareResources", request)).claims[claim.uid].error)

    async def _call(self, method: str, request: Any) -> Any:
        call: Any = self._channel.unary_unary(
            f"/{method}",
            request_serializer=lambda one: one.SerializeToString(),
            response_deserializer=ANSWERS[method.rpartition("/")[2]].FromString,
        )
        return await call(request, timeout=SECONDS, wait_for_ready=True)
