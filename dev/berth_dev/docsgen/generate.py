"""Generated files: written by `make generate`, checked by `make lint`."""

import shutil
import tempfile
from pathlib import Path

from berth_dev.commands import run
from berth_dev.components import HELM, build
from berth_dev.errors import ClusterError
from berth_dev.paths import REPOSITORY
from berth_dev.progress import step

PYTHON = REPOSITORY / ".venv" / "bin" / "python"
PAGES = {
    "docs/reference/api.md": "berth_dev.docsgen.apipage",
    "docs/reference/cli.md": "berth_dev.docsgen.clipage",
    "docs/reference/resources.md": "berth_dev.docsgen.resources",
    "docs/reference/values.md": "berth_dev.docsgen.values",
    "docs/reference/rights.md": "berth_dev.docsgen.rights",
    "docs/reference/metrics.md": "berth_dev.docsgen.metrics",
    "docs/reference/conditions.md": "berth_dev.docsgen.conditions",
    "docs/reference/environment.md": "berth_dev.docsgen.environment",
    "docs/adr/index.md": "berth_dev.docsgen.decisions",
    "charts/berth/files/not-public.json": "berth_dev.docsgen.notpublic",
    "charts/berth/files/names.json": "berth_dev.docsgen.reserved",
}
CRD_FOLDERS = ("crds", "charts/berth/templates/crds")
REQUIREMENTS = {
    "images/berth/requirements.txt": ("--no-dev",),
    "images/berth/build-requirements.txt": ("--only-group", "build"),
    "images/devices/requirements.txt": ("--only-group", "devices"),
}
DEVICES = Path("devices")
PROTOS = Path("berth_devices") / "kubelet" / "protos"


def generate(root: Path = REPOSITORY) -> None:
    """Write all generated files under `root`."""
    run([PYTHON, "-m", "berth_core.crdgen", *(root / folder for folder in CRD_FOLDERS)])
    for name, module in PAGES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        run([PYTHON, "-m", module, root / name], env={"COLUMNS": "80"})
    for name, choice in REQUIREMENTS.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        words = ["export", "-q", "--frozen", *choice, "--no-emit-project", "--no-header"]
        run([_uv(), *words, "-o", target], cwd=REPOSITORY)
    _generate_messages(root)


def check() -> None:
    """Raise ClusterError where a generated file differs from its source's output, or helm finds a fault."""
    with step("checking generated files"), tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        for folder in CRD_FOLDERS:
            (fresh / folder).mkdir(parents=True)
        generate(fresh)
        stale = [
            str(path.relative_to(fresh))
            for path in sorted(fresh.rglob("*"))
            if path.is_file() and not _same(path, REPOSITORY / path.relative_to(fresh))
        ]
        extra = [
            str(path.relative_to(REPOSITORY))
            for folder in CRD_FOLDERS
            for path in (REPOSITORY / folder).glob("*.yaml")
            if not (fresh / folder / path.name).exists()
        ]
    if stale or extra:
        raise ClusterError(f"generated files are out of date: run `make generate` ({', '.join(stale + extra)})")


def helm_lint() -> None:
    """`helm lint --strict` on the chart, with its own values and with the local cluster's."""
    helm = build((HELM,)).path("helm")
    chart = REPOSITORY / "charts" / "berth"
    with step("helm lint"):
        run([helm, "lint", "--strict", "--quiet", chart])
        run([helm, "lint", "--strict", "--quiet", "-f", REPOSITORY / "dev" / "values.yaml", chart])


def _generate_messages(root: Path) -> None:
    """Write the modules of the kubelet's gRPC messages."""
    (root / DEVICES / PROTOS).mkdir(parents=True, exist_ok=True)
    sources = [PROTOS / path.name for path in sorted((REPOSITORY / DEVICES / PROTOS).glob("*.proto"))]
    outputs = [f"--{kind}_out={root / DEVICES}" for kind in ("python", "pyi")]
    run([PYTHON, "-m", "grpc_tools.protoc", "-I.", *outputs, *sources], cwd=REPOSITORY / DEVICES)


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


def _uv() -> Path | str:
    own = REPOSITORY / ".berth-tools" / "bin" / "uv"
    return own if own.exists() else shutil.which("uv") or own
