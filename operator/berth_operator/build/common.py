"""What the manifests of one lease share."""

from dataclasses import dataclass

from berth_core import names
from berth_core.client import Object
from berth_core.resources import Instance, WorkspaceDeployment, WorkspaceType


@dataclass(frozen=True)
class LeaseParts:
    """One lease: whose, of what, and the type that says how."""

    instance: Instance
    deployment: WorkspaceDeployment
    type: WorkspaceType
    epoch: int

    @property
    def id(self) -> str:
        """Public id of the instance."""
        return self.instance.public_id

    @property
    def labels(self) -> dict[str, str]:
        """Labels of everything that the lease opens."""
        return names.lease_labels(self.id, self.epoch, self.deployment.metadata.name)

    def metadata(self, name: str, **more: object) -> Object:
        """Metadata of an object of the lease; it goes when the Instance goes."""
        return {
            "name": name,
            "namespace": self.instance.metadata.namespace,
            "labels": self.labels,
            "ownerReferences": [self.instance.reference()],
            **more,
        }
