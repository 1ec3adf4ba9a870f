"""Answers the kubelet: which plugin this is, and calls that prepare and unprepare claims.

The kubelet finds the registration's socket in ``plugins_registry`` and asks there for the other one. One server has
both. Each claim of a call is answered by itself, so one that fails keeps no other pod from its devices.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Protocol

import grpc
import structlog

from berth_core import names
from berth_core.kube import errors
from berth_devices import metrics
from berth_devices.claims import cdi
from berth_devices.claims.record import ClaimError, Record
from berth_devices.kubelet.protos import dra_pb2 as dra
from berth_devices.kubelet.protos import registration_pb2 as registration

log = structlog.get_logger(__name__)

TYPE: Final = "DRAPlugin"
SERVICES: Final = ("v1.DRAPlugin", "v1beta1.DRAPlugin")
"""Services by the names that a plugin registers with, the preferred one first."""
PACKAGE: Final = "k8s.io.kubelet.pkg.apis.dra"


class Claims(Protocol):
    """Prepares claims; each method raises ClaimError, ClusterError or OSError where it cannot."""

    async def prepare(self, namespace: str, name: str, uid: str) -> Record:
        """Prepare a claim. Idempotent."""

    async def unprepare(self, uid: str) -> None:
        """Undo it. Idempotent."""


class Plugin:
    """The services of the driver.

    ``endpoint`` is the path at which the kubelet finds the socket of the DRA service.
    """

    def __init__(self, claims: Claims, pool: str, endpoint: str) -> None:
        self._claims = claims
        self._pool = pool
        self._endpoint = endpoint
        self.registered = asyncio.Event()
        """Set while the kubelet says that it has the plugin."""

    def add_to(self, server: grpc.aio.Server) -> None:
        """Give the services to a server.

        Messages of v1 serve v1beta1 too: its messages are the same but for ``share_id``, which is not set here.
        """
        handlers = [
            _service(
                "pluginregistration.Registration",
                _method("GetInfo", self._info, registration.InfoRequest),
                _method("NotifyRegistrationStatus", self._registered, registration.RegistrationStatus),
            )
        ]
        for service in SERVICES:
            handlers.append(
                _service(
                    f"{PACKAGE}.{service}",
                    _method("NodePrepareResources", self._prepare, dra.NodePrepareResourcesRequest),
                    _method("NodeUnprepareResources", self._unprepare, dra.NodeUnprepareResourcesRequest),
                )
            )
        server.add_generic_rpc_handlers(handlers)

    async def _info(self, _: registration.InfoRequest, __: object) -> registration.PluginInfo:
        return registration.PluginInfo(
            type=TYPE, name=names.DEVICE_DRIVER, endpoint=self._endpoint, supported_versions=SERVICES
        )

    async def _registered(
        self, status: registration.RegistrationStatus, _: object
    ) -> registration.RegistrationStatusResponse:
        if status.plugin_registered:
            log.info("the kubelet has the plugin")
            self.registered.set()
        else:
            log.error("the kubelet refuses the plugin", error=status.error)
            self.registered.clear()
        return registration.RegistrationStatusResponse()

    async def _prepare(self, request: dra.NodePrepareResourcesRequest, _: object) -> dra.NodePrepareResourcesResponse:
        answer = dra.NodePrepareResourcesResponse()
        for claim in request.claims:
            one = answer.claims[claim.uid]
            with metrics.PREPARE_SECONDS.time():
                record, one.error = await _tried(
                    "prepare", claim, self._claims.prepare(claim.namespace, claim.name, claim.uid)
                )
            if record is not None:
                one.devices.extend(_devices(record, self._pool))
        return answer

    async def _unprepare(
        self, request: dra.NodeUnprepareResourcesRequest, _: object
    ) -> dra.NodeUnprepareResourcesResponse:
        answer = dra.NodeUnprepareResourcesResponse()
        for claim in request.claims:
            _, answer.claims[claim.uid].error = await _tried("unprepare", claim, self._claims.unprepare(claim.uid))
        return answer


async def _tried(call: str, claim: dra.Claim, work: Awaitable[Record | None]) -> tuple[Record | None, str]:
    """Return the result and an empty text, or None and the error's text; the kubelet tries again later."""
    try:
        result = await work
    except (ClaimError, errors.ClusterError, OSError) as error:
        metrics.CALLS.labels(call, "failed").inc()
        log.warning("a claim failed", call=call, namespace=claim.namespace, claim=claim.name, error=str(error))
        return None, str(error) or type(error).__name__
    metrics.CALLS.labels(call, "done").inc()
    log.info("a claim is done", call=call, namespace=claim.namespace, claim=claim.name, uid=claim.uid)
    return result, ""


def _devices(record: Record, pool: str) -> Iterable[dra.Device]:
    for one in record.devices:
        yield dra.Device(
            request_names=[one.request],
            pool_name=pool,
            device_name=one.device,
            cdi_device_ids=[cdi.device_id(record, one)],
        )


def _method(name: str, answer: Callable[[Any, Any], Awaitable[Any]], request: Any) -> tuple[str, Any]:
    handler: Any = grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=request.FromString, response_serializer=lambda message: message.SerializeToString()
    )
    return name, handler


def _service(name: str, *methods: tuple[str, Any]) -> Any:
    return grpc.method_handlers_generic_handler(name, dict(methods))
