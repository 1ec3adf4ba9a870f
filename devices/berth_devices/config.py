"""Settings of the driver from its environment, read once (docs/reference/environment.md lists them)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Json, StringConstraints, TypeAdapter

from berth_core.process.settings import PORT, Settings
from berth_devices.discovery.facts import Rule
from berth_devices.discovery.kernel import Fixed
from berth_devices.kubelet.sockets import Paths

KUBELET_FOLDER: Final = Path("/var/lib/kubelet")
CDI_FOLDER: Final = Path("/var/run/cdi")
DEV_FOLDER: Final = Path("/dev")
VARIABLES: Final = {
    "BERTH_NODE": "Name of the Kubernetes node.",
    "BERTH_KUBELET_DIR": "The kubelet's folder (`--root-dir`), as the kubelet has it.",
    "BERTH_CDI_DIR": "Folder of CDI files that the node's container runtime reads.",
    "BERTH_HOST_DIR": "In a container, the folder with those of the node: `plugin` and `registration` are the kubelet's"
    " `plugins/devices.berth.dev` and `plugins_registry`, `cdi` has CDI files, `dev` is `/dev`.",
    "BERTH_DEVICES_ALLOW": "Devices that are offered: a JSON list of `{subsystem, vendor, product, serial}`.",
    "BERTH_DEVICES_FIXED": "Fixed devices: a JSON list of `{path, vendor, product, serial, kind, node}`.",
    "BERTH_DEVICES_EVENTS": "Netlink group of events: `kernel`, or `udev` for a process beside udev itself.",
    "BERTH_DEVICES_RESCAN_SECONDS": "Seconds after which it looks at the devices without an event.",
    "BERTH_LISTEN": "Port of `/healthz`, `/readyz` and `/metrics`.",
    "KUBECONFIG": "Way to the cluster; the pod's service account where it is empty.",
}

Text = Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00-\x1f]*$")]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    vendor: Text = ""
    product: Text = ""
    serial: Text = ""


class _Rule(_Entry):
    subsystem: Literal["tty", "video4linux", "hidraw", "gpio", "usb"]


class _Fixed(_Entry):
    path: Annotated[str, StringConstraints(max_length=64, pattern=r"^/dev/[^\x00-\x1f]+$")]
    kind: Text = ""
    node: str = ""


RULES: Final = TypeAdapter(Annotated[Json[list[_Rule]], Field(description="JSON list")])
FIXED: Final = TypeAdapter(Annotated[Json[list[_Fixed]], Field(description="JSON list")])
EVENTS: Final = TypeAdapter(Literal["kernel", "udev"])
SECONDS: Final = TypeAdapter(Annotated[int, Field(ge=1, le=60)])


@dataclass(frozen=True)
class Config:
    """Settings of one driver process."""

    node: str
    paths: Paths
    cdi: Path
    dev: Path
    rules: tuple[Rule, ...]
    fixed: tuple[Fixed, ...]
    """Fixed devices of this node."""
    events: str
    rescan: int
    """Seconds."""
    listen: int
    kubeconfig: str | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the variables. Raises SettingError, or ValueError for a path that is too long for a socket."""
        settings = Settings(environment)
        node = settings.required("BERTH_NODE")
        host = settings.path("BERTH_HOST_DIR", None)
        paths = Paths(settings.path("BERTH_KUBELET_DIR", KUBELET_FOLDER), host)
        paths.check()
        cdi = settings.path("BERTH_CDI_DIR", CDI_FOLDER)
        rules: list[Any] = settings.read("BERTH_DEVICES_ALLOW", RULES, [])
        fixed: list[Any] = settings.read("BERTH_DEVICES_FIXED", FIXED, [])
        return cls(
            node=node,
            paths=paths,
            cdi=cdi if host is None else host / "cdi",
            dev=DEV_FOLDER if host is None else host / "dev",
            rules=tuple(Rule(**one.model_dump()) for one in rules),
            fixed=tuple(Fixed(**one.model_dump()) for one in fixed if one.node in ("", node)),
            events=settings.read("BERTH_DEVICES_EVENTS", EVENTS, "kernel"),
            rescan=settings.read("BERTH_DEVICES_RESCAN_SECONDS", SECONDS, 5),
            listen=settings.read("BERTH_LISTEN", PORT, 8080),
            kubeconfig=settings.text("KUBECONFIG") or None,
        )
