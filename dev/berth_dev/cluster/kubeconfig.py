"""Kubeconfig files: one cluster, one user, everything embedded."""

import base64
from pathlib import Path

import yaml

from berth_dev.cluster.pki import Pair


def write(path: Path, *, server: str, authority: Path, client: Pair) -> Path:
    """Write a kubeconfig (mode 0600) for `server` (an https URL) at `path` and answer `path`."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "berth",
        "clusters": [
            {"name": "berth", "cluster": {"server": server, "certificate-authority-data": _embedded(authority)}}
        ],
        "users": [
            {
                "name": "berth",
                "user": {
                    "client-certificate-data": _embedded(client.certificate),
                    "client-key-data": _embedded(client.key),
                },
            }
        ],
        "contexts": [{"name": "berth", "context": {"cluster": "berth", "user": "berth"}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def _embedded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
