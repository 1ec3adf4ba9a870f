"""Loads images into the nodes' containerd: only those that a node lacks in this content."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from berth_dev.cluster import network
from berth_dev.cluster.nodes import Cluster
from berth_dev.commands import run
from berth_dev.images.build import Built
from berth_dev.progress import step


def tag(built: Built) -> str:
    """The image's name by content, such as `localhost/berth:0123456789abcdef`: it changes when the image does."""
    return f"localhost/{built.image.name}:{built.key}"


def load(cluster: Cluster, images: tuple[Built, ...]) -> None:
    """Import images into every node under their `dev` name and their name by content."""
    missing = [
        (machine, built)
        for machine in network.NODES
        for built in images
        if _recorded(cluster, machine).get(built.image.name) != built.key
    ]
    if not missing:
        return
    names = ", ".join(sorted({built.image.name for _, built in missing}))
    with step(f"loading {names} into the nodes"), ThreadPoolExecutor(max_workers=len(network.NODES)) as pool:
        loads = [
            pool.submit(_load_node, cluster, machine, [built for node, built in missing if node == machine])
            for machine in network.NODES
        ]
        for load_of_node in loads:
            load_of_node.result()


def _load_node(cluster: Cluster, machine: network.Machine, images: list[Built]) -> None:
    ctr: list[str | Path] = [
        cluster.tools.path("ctr"),
        "--address",
        cluster.node(machine).socket,
        "--namespace",
        "k8s.io",
        "images",
    ]
    for built in images:
        run([*ctr, "import", "--local", built.archive])
        run([*ctr, "tag", "--force", built.image.reference, tag(built)])
        # A kubelet that runs out of disk removes unused images, and no registry has these.
        run([*ctr, "label", built.image.reference, "io.cri-containerd.pinned=pinned"])
        recorded = {**_recorded(cluster, machine), built.image.name: built.key}
        _record(cluster, machine).write_text(json.dumps(recorded), encoding="utf-8")


def _record(cluster: Cluster, machine: network.Machine) -> Path:
    return cluster.node(machine).folder / "images.json"


def _recorded(cluster: Cluster, machine: network.Machine) -> dict[str, str]:
    path = _record(cluster, machine)
    if not path.exists():
        return {}
    recorded: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return recorded
