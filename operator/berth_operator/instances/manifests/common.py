"""Parts that the manifests of one lease share."""

from dataclasses import dataclass

from berth_core import names
from berth_core.kube.types import Object
from berth_core.resources import Instance, WorkspaceDeployment, WorkspaceType
from berth_core.resources.workspacedeployment import Machine, MachineConnector, MachineNetwork


@dataclass(frozen=True)
class LeaseParts:
    """One lease, or one to come: whose, of what, and the type that says how."""

    instance: Instance | None
    """None while nobody has it: objects made then are kept warm (ADR 0013)."""
    deployment: WorkspaceDeployment
    type: WorkspaceType
    epoch: int
    warm: bool = False
    """It uses the warm objects of its epoch, made before anybody had it."""
    nonce: str | None = None
    """In the names of its Secrets (ADR 0024); None for those of an earlier version."""

    @property
    def id(self) -> str:
        """Public id of the instance."""
        return self.holder.public_id

    @property
    def holder(self) -> Instance:
        """The instance; RuntimeError while there is none."""
        if self.instance is None:
            raise RuntimeError("nobody has this lease yet")
        return self.instance

    @property
    def machine(self) -> Machine | None:
        """The machine that the lease opens: as the deployment has it while it is bound, and as it was then after that.

        None while nobody has the lease: what is kept warm opens no machine.
        """
        if self.instance is None:
            return None
        status = self.instance.status
        return self.deployment.spec.machine if status.epoch is None else status.machine

    @property
    def network(self) -> MachineNetwork | None:
        """Endpoints that the lease opens of its machine."""
        return self.machine.network if self.machine is not None else None

    @property
    def way(self) -> MachineConnector | None:
        """Way to the machine through a connector."""
        return self.machine.connector if self.machine is not None else None

    @property
    def namespace(self) -> str:
        """Where all of it lives."""
        return self.deployment.metadata.namespace

    @property
    def name(self) -> str:
        """Name of the pod, and of its Service and NetworkPolicy."""
        return names.warm_object(self.deployment.public_id, self.epoch) if self.warm else names.instance_object(self.id)

    @property
    def workspace_secret(self) -> str:
        """Name of the Secret that the workspace mounts."""
        if self.warm:
            return names.warm_secret(self.name, self.nonce)
        return names.workspace_secret(self.id, self.epoch, self.nonce)

    @property
    def secrets(self) -> tuple[str, str]:
        """Names of the Secrets without which the pod cannot start: the workspace's and the agent's."""
        return self.workspace_secret, names.agent_secret(self.workspace_secret)

    @property
    def labels(self) -> dict[str, str]:
        """Labels of everything that the lease opens; warm things have the same before and after somebody gets them."""
        deployment = self.deployment.metadata.name
        if self.warm:
            return {names.WARM_LABEL: "true", **names.epoch_labels(self.epoch, deployment)}
        return names.lease_labels(self.id, self.epoch, deployment)

    @property
    def selector(self) -> dict[str, str]:
        """Labels that choose the pod and no other."""
        return self.labels if self.warm else {names.INSTANCE_LABEL: self.id}

    def metadata(self, name: str, **more: object) -> Object:
        """Metadata of an object of the lease; it goes when the Instance goes, what is warm when the deployment does."""
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": self.labels,
            "ownerReferences": [self.owner],
            **more,
        }

    @property
    def owner(self) -> Object:
        """Owner reference of everything that the lease opens."""
        if not self.warm:
            return self.holder.reference()
        return {**self.deployment.reference(), "controller": False, "blockOwnerDeletion": False}
