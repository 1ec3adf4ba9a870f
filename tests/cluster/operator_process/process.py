"""The operator as a process of its own, with the rights that operator/README.md lists and no others."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from berth_cluster.apiserver import ApiServer
from berth_cluster.paths import REPOSITORY
from berth_cluster.ports import free_port
from berth_cluster.testing import Namespaces


@dataclass
class Operators:
    """Operator processes of one test."""

    kubeconfig: Path
    namespaces: Namespaces
    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    def start(self, **environment: str) -> subprocess.Popen[bytes]:
        port, number = free_port(), len(self.running)
        settings = {
            "KUBECONFIG": str(self.kubeconfig),
            "BERTH_NAMESPACE": self.namespaces.release,
            "BERTH_WORKSPACE_NAMESPACES": self.namespaces.workspaces,
            "BERTH_ACCESS_NAMESPACE": self.namespaces.access,
            "BERTH_AGENT_IMAGE": "berth.invalid/berth:test",
            "BERTH_IDENTITY": f"operator-{number}",
            "BERTH_LISTEN": str(port),
            "BERTH_LOG_LEVEL": "DEBUG",
        }
        with open(self.folder / f"operator-{number}.log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "berth_operator"],
                env={"PATH": os.environ["PATH"], **settings, **environment},
                stderr=log,
                stdout=log,
            )
        self.running.append(process)
        self.ports.append(port)
        return process

    def stop_all(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.running:
            process.wait(timeout=20)


def documented_rules() -> dict[str, list[dict[str, Any]]]:
    """RBAC rules from the table in operator/README.md, by the first word of their scope."""
    rules: dict[str, list[dict[str, Any]]] = {}
    text = (REPOSITORY / "operator" / "README.md").read_text(encoding="utf-8")
    scope = ""
    for line in text[text.index("## Rights") : text.index("## Environment")].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 5 or "`" not in cells[2]:
            continue
        scope = cells[0].split(" ")[0] or scope
        resources, _, only = cells[2].partition(" named ")
        rule = {
            "apiGroups": ["" if cells[1] == "(core)" else cells[1].strip("`")],
            "resources": re.findall(r"`([^`]+)`", resources),
            "verbs": cells[3].replace(" ", "").split(","),
        }
        if only:
            rule["resourceNames"] = re.findall(r"`([^`]+)`", only)
        rules.setdefault(scope, []).append(rule)
    return rules


def restricted_kubeconfig(server: ApiServer, namespaces: Namespaces, folder: Path) -> Path:
    """A kubeconfig for a service account with the documented rights."""
    places = {
        "each": namespaces.workspaces,
        "access": namespaces.access,
        "release": namespaces.release,
        "cluster": "",
    }
    name = f"operator-{namespaces.release}"
    account = {"kind": "ServiceAccount", "name": name, "namespace": namespaces.release}
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespaces.release}}
    ]
    for scope, rules in documented_rules().items():
        objects.extend(_role(name, places[scope], rules, account))
    server.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
    token = server.kubectl("create", "token", name, "-n", namespaces.release, "--duration=2h").strip()
    config = yaml.safe_load(server.kubeconfig.read_text(encoding="utf-8"))
    for user in config["users"]:
        user["user"] = {"token": token}
    path = folder / "operator.kubeconfig"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def _role(name: str, namespace: str, rules: list[dict[str, Any]], account: dict[str, str]) -> list[dict[str, Any]]:
    group = "rbac.authorization.k8s.io"
    prefix = "" if namespace else "Cluster"
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return [
        {"apiVersion": f"{group}/v1", "kind": f"{prefix}Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": f"{prefix}RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": f"{prefix}Role", "name": name},
            "subjects": [account],
        },
    ]
