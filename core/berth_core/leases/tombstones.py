"""Takes the name of an Instance that was never made, so that a late write cannot create it (ADR 0021).

Where Berth chose the instance's id, only a reconcile of the Instance of that name gives the lease back. Where there is
no such Instance, a tombstone is made: an Instance with the lease's claim that is to end from the beginning.
"""

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.types import Object
from berth_core.leases.availability import Lease
from berth_core.resources import Instance, InstanceSpec, manifest
from berth_core.resources.instance import Claim


async def bury(client: Client, namespace: str, lease: Lease, *, instance: str, user: str) -> Object:
    """Make the tombstone of an instance (public id) for which ``user`` holds the lease. Its reconcile gives that back.

    Raises:
        berth_core.kube.errors.AlreadyExistsError: the name is taken, by the Instance itself or by its tombstone.
        berth_core.kube.errors.InvalidError, berth_core.kube.errors.ForbiddenError: a quota or a webhook refuses it.
        berth_core.kube.errors.UnavailableError: the cluster cannot be reached.

    """
    spec = InstanceSpec(
        user=user,
        deployments=[lease.deployment],
        claim=Claim(deployment=lease.deployment, epoch=lease.epoch),
        terminate=True,
    )
    labels, finalizers = {names.NEVER_MADE_LABEL: "true"}, [names.FENCE_FINALIZER]
    body = manifest(Instance, namespace, instance, spec, labels=labels, finalizers=finalizers)
    return await client.create(Instance.api(), namespace, body)
