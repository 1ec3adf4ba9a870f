"""The VPN beside a workspace: its container, the Secret with its keys, the Secrets with its clients' profiles. Pure.

It is an ordinary container, not one that starts first: its failure does not keep the holder from the workspace.
"""

from typing import Final

from berth_core import names
from berth_core.kube.types import Object
from berth_core.vpn import Authority, server_configuration, static_key
from berth_core.vpn.configuration import REVOKED, RUN_PLACE, SECRET_PLACE, Protocol
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.podspec.secrets import opaque
from berth_operator.settings.config import MKNOD, PRIVILEGED, Config, VpnSettings

RESOURCES: Final[dict[str, dict[str, str]]] = {
    "requests": {"cpu": "10m", "memory": "16Mi"},
    "limits": {"memory": "128Mi"},
}
MEMORY: Final = {"medium": "Memory", "sizeLimit": "4Mi"}
_SECRET: Final = "berth-vpn"  # noqa: S105 (a volume's name)
_RUN: Final = "berth-vpn-run"

AUTHORITY_CERTIFICATE: Final = "ca.crt"
AUTHORITY_KEY: Final = "ca.key"
STATIC_KEY: Final = "tls-crypt.key"
_MOUNTED: Final = (AUTHORITY_CERTIFICATE, "server.crt", "server.key", STATIC_KEY, REVOKED, "server.conf")
"""Files that the server gets: all but the authority's key."""


def settings(lease: LeaseParts, config: Config) -> VpnSettings | None:
    """How the lease's VPN is made; None where it has none, or the release offers none."""
    return config.vpn if lease.instance is not None and lease.instance.spec.vpn else None


def secret(lease: LeaseParts, tunnel: VpnSettings, authority: Authority, server: tuple[str, str], crl: str) -> Object:
    """Secret with all keys of the VPN; ``server`` is its certificate and key, ``crl`` the list that revokes nobody."""
    own = authority.pair
    data = {
        AUTHORITY_CERTIFICATE: own.certificate,
        AUTHORITY_KEY: own.key,
        "server.crt": server[0],
        "server.key": server[1],
        STATIC_KEY: static_key(),
        REVOKED: crl,
        "server.conf": server_configuration(tunnel.tunnel),
    }
    encoded = {name: text.encode() for name, text in data.items()}
    return opaque(lease.metadata(names.vpn_secret(lease.workspace_secret)), encoded)


def profile_secret(namespace: str, instance_id: str, client_id: str, profile: str) -> Object:
    """Secret with a client's profile, for the API to fetch."""
    metadata = {
        "name": names.vpn_profile(client_id),
        "namespace": namespace,
        "labels": {names.INSTANCE_LABEL: instance_id, names.MANAGED_BY_LABEL: names.MANAGED_BY},
    }
    return opaque(metadata, {names.VPN_PROFILE: profile.encode()})


def container(tunnel: VpnSettings) -> Object:
    """The server. It may make its tunnel and nothing else; how it gets the device is a setting."""
    manifest: Object = {
        "name": names.VPN_CONTAINER,
        "image": tunnel.image,
        "imagePullPolicy": tunnel.pull_policy,
        "ports": [
            {
                "name": names.VPN_PORT_NAME,
                "containerPort": names.VPN_PORT,
                "protocol": tunnel.tunnel.protocol.value.upper(),
            }
        ],
        # Its last output is shown where it does not run.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": _resources(tunnel),
        "securityContext": _security(tunnel),
        "volumeMounts": [
            {"name": _SECRET, "mountPath": SECRET_PLACE, "readOnly": True},
            {"name": _RUN, "mountPath": RUN_PLACE},
        ],
    }
    return manifest


def volumes(lease: LeaseParts) -> list[Object]:
    """Volumes of its keys, which no other container has, and of files that it shares with the agent alone."""
    items = [{"key": name, "path": name} for name in _MOUNTED]
    own = names.vpn_secret(lease.workspace_secret)
    return [
        {"name": _SECRET, "secret": {"secretName": own, "defaultMode": 0o400, "items": items}},
        {"name": _RUN, "emptyDir": MEMORY},
    ]


def agent_mounts() -> list[Object]:
    """Where the agent finds the management socket and leaves lists of revoked clients."""
    return [{"name": _RUN, "mountPath": RUN_PLACE}]


def port(tunnel: VpnSettings) -> Object:
    """Port of the Service."""
    protocol = tunnel.tunnel.protocol.value.upper()
    return {"name": names.VPN_PORT_NAME, "protocol": protocol, "port": names.VPN_PORT, "targetPort": names.VPN_PORT}


def reached(protocol: Protocol) -> tuple[str, int]:
    """Protocol and port that the NetworkPolicy lets users reach."""
    return (protocol.value.upper(), names.VPN_PORT)


def _resources(tunnel: VpnSettings) -> Object:
    if tunnel.tun in (MKNOD, PRIVILEGED):
        return dict(RESOURCES)
    device = {tunnel.tun: "1"}
    return {"requests": RESOURCES["requests"] | device, "limits": RESOURCES["limits"] | device}


def _security(tunnel: VpnSettings) -> Object:
    if tunnel.tun == PRIVILEGED:
        return {"privileged": True, "runAsUser": 0, "readOnlyRootFilesystem": True}
    # With the last three the server becomes nobody, and loses them all.
    added = ["NET_ADMIN", *(["MKNOD"] if tunnel.tun == MKNOD else []), "SETUID", "SETGID", "SETPCAP"]
    return {
        "runAsUser": 0,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": added},
    }
