"""Where the API server is and how to log in to it, for kopf, which has its own connections."""

import base64
import os
from pathlib import Path
from typing import Any, Final

import yaml

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def connection(kubeconfig: str | None) -> dict[str, Any]:
    """Fields of kopf's ConnectionInfo. Read anew at each login, since tokens of service accounts change.

    The pod's environment has the API server's address, so no DNS is needed.
    """
    if kubeconfig is not None:
        return _from_kubeconfig(Path(kubeconfig))
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    return {
        "server": f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        "ca_path": str(SERVICE_ACCOUNT / "ca.crt"),
        "token": (SERVICE_ACCOUNT / "token").read_text(encoding="utf-8").strip(),
    }


def _from_kubeconfig(path: Path) -> dict[str, Any]:
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    context = _named(config["contexts"], config["current-context"])["context"]
    cluster = _named(config["clusters"], context["cluster"])["cluster"]
    user = _named(config["users"], context["user"])["user"]
    return {
        "server": cluster["server"],
        "ca_data": _data(cluster, "certificate-authority", path),
        "certificate_data": _data(user, "client-certificate", path),
        "private_key_data": _data(user, "client-key", path),
        "token": user.get("token"),
    }


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _data(section: dict[str, Any], name: str, path: Path) -> bytes | None:
    if f"{name}-data" in section:
        return base64.b64decode(section[f"{name}-data"])
    return (path.parent / section[name]).read_bytes() if name in section else None
