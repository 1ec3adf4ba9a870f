"""Service accounts of processes under test or measurement: their rights and kubeconfigs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import APPLY, Asking, asking

Rules = list[dict[str, Any]]
"""Rules of a Role."""

EVERYTHING: Final[Mapping[str, Rules]] = {"": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}
_CORE: Final = "api/v1"
_RBAC: Final = "apis/rbac.authorization.k8s.io/v1"
_SECONDS: Final = 3 * 3600
"""Seconds for which a token is valid: longer than any run of the tests."""


def account(server: ApiServer, name: str, namespace: str, rules: Mapping[str, Rules], folder: Path) -> Path:
    """Make a service account with rules by namespace ("" for all); write its kubeconfig."""
    with asking(server) as ask:
        _apply(ask, _CORE, "ServiceAccount", namespace, name, {})
        for where, of_role in rules.items():
            sort = "Role" if where else "ClusterRole"
            role = {"apiGroup": "rbac.authorization.k8s.io", "kind": sort, "name": name}
            subjects = [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]
            _apply(ask, _RBAC, sort, where, name, {"rules": of_role})
            _apply(ask, _RBAC, f"{sort}Binding", where, name, {"roleRef": role, "subjects": subjects})
    return speaking_for(server, name, namespace, folder)


def speaking_for(server: ApiServer, name: str, namespace: str, folder: Path) -> Path:
    """Write ``NAME.kubeconfig`` of a service account to a folder."""
    config = yaml.safe_load(server.kubeconfig.read_text(encoding="utf-8"))
    for user in config["users"]:
        user["user"] = {"token": token(server, name, namespace)}
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.kubeconfig"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def token(server: ApiServer, name: str, namespace: str) -> str:
    """A token of a service account."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": _SECONDS}}
    with asking(server) as ask:
        answer = ask("", "POST", f"/{_CORE}/namespaces/{namespace}/serviceaccounts/{name}/token", review, dry=False)
    signed: str = answer.raise_for_status().json()["status"]["token"]
    return signed


def _apply(ask: Asking, group: str, kind: str, namespace: str, name: str, content: dict[str, Any]) -> None:
    scope = f"namespaces/{namespace}/" if namespace else ""
    path = f"/{group}/{scope}{kind.lower()}s/{name}?fieldManager=berth-test&force=true"
    manifest = {"apiVersion": group.partition("/")[2], "kind": kind, "metadata": {"name": name}}
    ask("", "PATCH", path, manifest | content, kind=APPLY, dry=False).raise_for_status()
