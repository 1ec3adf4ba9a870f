"""The version of resource.k8s.io that the cluster and the driver both speak, found once."""

from typing import Final

from berth_core.kube import errors
from berth_core.kube.client import Client
from berth_core.kube.types import Kind

GROUP: Final = "resource.k8s.io"
VERSIONS: Final = ("v1", "v1beta1")
"""Versions that the driver speaks, the preferred one first."""


class NoApiError(errors.ClusterError):
    """The cluster has no version of resource.k8s.io that the driver speaks."""


class ResourceApi:
    """Kinds of resource.k8s.io in the first of some versions that the cluster serves."""

    def __init__(self, client: Client, versions: tuple[str, ...] = VERSIONS) -> None:
        self._client = client
        self._versions = versions
        self._version = ""

    async def slices(self) -> Kind:
        """ResourceSlices. Raises ClusterError."""
        return Kind(await self._api(), "resourceslices", namespaced=False)

    async def claims(self) -> Kind:
        """ResourceClaims. Raises ClusterError."""
        return Kind(await self._api(), "resourceclaims")

    async def _api(self) -> str:
        if not self._version:
            self._version = await self._discover()
        return f"{GROUP}/{self._version}"

    async def _discover(self) -> str:
        try:
            group = await self._client.request("GET", f"/apis/{GROUP}")
            served = [str(one["version"]) for one in group["versions"]]
        except errors.NotFoundError:
            served = []
        for version in self._versions:
            if version in served:
                return version
        raise NoApiError(
            f"the cluster serves {GROUP} in none of {', '.join(self._versions)}: use Kubernetes 1.34 or later"
        )
