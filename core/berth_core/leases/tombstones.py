"""Takes the name of an Instance that was never made, so that it cannot come late (ADR 0021).

A lease for which Berth drew the instance's id goes back only in the pass over the Instance of that name. Where there
is none, a tombstone is made: an Instance with the lease's claim that is ended from the beginning.
"""

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.types import Object
from berth_core.leases.availability import Lease
from berth_core.resources import Instance, InstanceSpec, manifest
from berth_core.resources.instance import Claim


async def bury(client: Client, namespace: str, lease: Lease, *, instance: str, user: str) -> Object:
    """Make the tombstone of an instance (public id) for which ``user`` holds the lease; its own pass gives that back.

    Raises:
        berth_core.kube.errors.AlreadyExistsError: there is an Instance of that name: it has come, or was buried before.
        berth_core.kube.errors.InvalidError, berth_core.kube.errors.ForbiddenError: a quota or a webhook refuses it.
        berth_core.kube.errors.UnavailableError: the cluster cannot be asked.

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
