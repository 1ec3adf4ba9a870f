"""The two Secrets of a lease, named with its epoch: a pod of an epoch that is over finds none and never starts."""

import base64
from dataclasses import dataclass

import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from berth_core import names
from berth_core.firewall import closed_ruleset
from berth_core.kube.types import Object
from berth_operator.agents.certificates import KeyPair
from berth_operator.instances.manifests.common import LeaseParts, opaque


@dataclass(frozen=True)
class HostKey:
    """An ed25519 host key: the private part as sshd reads it, the public part as an OpenSSH line."""

    private: bytes
    public: str


def new_host_key() -> HostKey:
    """Make a host key."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return HostKey(private, public.decode("ascii"))


def workspace_secret(lease: LeaseParts, key: HostKey) -> Object:
    """Secret that the workspace container mounts."""
    data = {names.HOST_KEY: key.private, f"{names.HOST_KEY}.pub": f"{key.public}\n".encode()}
    return opaque(lease.metadata(lease.workspace_secret), data)


def public_host_key(secret: Object) -> str:
    """Public line of the host key in a Secret as the API server gave it."""
    return base64.b64decode(secret["data"][f"{names.HOST_KEY}.pub"]).decode("ascii").strip()


def agent_secret(lease: LeaseParts, pair: KeyPair, authority: str) -> Object:
    """Secret that the agent mounts: its certificate, our CA, and the closed ruleset with the holder's keys."""
    initial = {
        "epoch": lease.epoch,
        "generation": 0,
        "ruleset": closed_ruleset(lease.epoch),
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
