"""The tour's robot as it is lent: its process outside of the cluster, its type and its deployment."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from berth_dev.cluster import nodes
from berth_dev.cluster.install import WORKSPACES
from berth_dev.cluster.network import ROBOT
from berth_dev.demo.robot import GOT
from berth_dev.errors import ClusterError
from berth_dev.processes import ProcessSpec

TYPE: Final = "linear_axis"
NAME: Final = "axis-1"
PORT: Final = 7001
EVERY: Final = 2
"""Seconds between two probes."""
AVAILABLE_WITHIN: Final = 30


@dataclass(frozen=True)
class Command:
    """A command that the robot got, by a line of its log."""

    text: str

    @property
    def words(self) -> str:
        """The command itself."""
        return self.text.split("'")[1]


@dataclass(frozen=True)
class Robot:
    """The robot at its address; ``id`` is that of its deployment, ``log`` is what it prints."""

    id: str
    log: Path

    def commands(self) -> list[Command]:
        """Return the commands that it got, the oldest first."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [Command(line) for line in lines if line.startswith(GOT)]


def lend() -> Robot:
    """Start the robot where it does not run, and lend it. The robot ends with the cluster.

    Raises ClusterError where the operator does not find it well.
    """
    cluster = nodes.find()
    if cluster is None:
        raise ClusterError("no local cluster runs: start it with `make up`")
    program = (sys.executable, "-m", "berth_dev.demo.robot", ROBOT.address, str(PORT))
    ProcessSpec(ROBOT.name, program, namespace=ROBOT.namespace).save(cluster.state / "processes")
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects()}))
    words = ("-n", WORKSPACES, f"--timeout={AVAILABLE_WITHIN}s")
    cluster.kubectl("wait", f"wd/{NAME}", "--for=condition=Available", *words)
    shown = cluster.kubectl("get", "wd", NAME, "-n", WORKSPACES, "-o", "jsonpath={.status.id}")
    return Robot(id=shown, log=cluster.state / "logs" / f"{ROBOT.name}.log")


def objects() -> list[dict[str, Any]]:
    """Return the type, and the deployment whose lease opens the robot's port and nothing else of it."""
    template = {
        "image": "localhost/berth-workspace:dev",
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
    }
    network = {"addresses": [f"{ROBOT.address}/32"], "ports": [{"protocol": "TCP", "port": PORT}]}
    type_ = {"typeName": TYPE, "description": "Linear axis that takes commands over TCP", "template": template}
    deployment = {
        "type": TYPE,
        "region": "lab-b",
        "description": f"The axis at {ROBOT.address}",
        "machine": {"network": network},
        "health": {"tcp": PORT, "every": EVERY},
        "overrides": {"env": [{"name": "ROBOT", "value": f"{ROBOT.address}:{PORT}"}]},
    }
    return [
        _object("WorkspaceType", TYPE.replace("_", "-"), type_),
        _object("WorkspaceDeployment", NAME, deployment),
    ]


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": WORKSPACES}
    return {"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
