"""The two Secrets of a lease, named with its epoch: a pod of an epoch that is over finds none and never starts."""

import orjson

from berth_core import names
from berth_core.firewall import NO_MACHINES, Machines, closed_ruleset
from berth_core.kube.types import Object
from berth_operator.agents.certificates import KeyPair
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.podspec.secrets import HostKey, opaque


def workspace_secret(lease: LeaseParts, key: HostKey) -> Object:
    """Secret that the workspace container mounts."""
    data = {names.HOST_KEY: key.private, f"{names.HOST_KEY}.pub": f"{key.public}\n".encode()}
    return opaque(lease.metadata(lease.workspace_secret), data)


def agent_secret(lease: LeaseParts, pair: KeyPair, authority: str, machines: Machines = NO_MACHINES) -> Object:
    """Secret that the agent mounts: its certificate, our CA, and the closed ruleset with the holder's keys.

    The closed ruleset opens no machine, not even the lease's own.
    """
    initial = {
        "epoch": lease.epoch,
        "generation": 0,
        "ruleset": closed_ruleset(lease.epoch, machines=machines),
        "authorizedKeys": list(lease.instance.spec.ssh_keys) if lease.instance is not None else [],
        "notice": "",
    }
    data = {
        "tls.crt": pair.certificate.encode(),
        "tls.key": pair.key.encode(),
        "ca.crt": authority.encode(),
        names.INITIAL_STATE_KEY: orjson.dumps(initial),
    }
    return opaque(lease.metadata(names.agent_secret(lease.workspace_secret)), data)
