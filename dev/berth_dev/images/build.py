"""Our images: built with buildah from their Containerfiles, kept as archives keyed by content."""

import hashlib
import os
import platform
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from berth_dev.commands import run
from berth_dev.images import archives, base, wheels
from berth_dev.paths import REPOSITORY, cache_dir, require_space
from berth_dev.progress import step

# One time for all files of a build context, so that equal content makes equal layers.
FIXED_TIME = 1767225600
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


@dataclass(frozen=True)
class Image:
    """An image of ours: its Containerfile and the files (relative to `root`) that go into it."""

    name: str
    containerfile: str
    root: Path
    files: tuple[str, ...]

    @property
    def reference(self) -> str:
        """The name that pods use."""
        return f"localhost/{self.name}:dev"


@dataclass(frozen=True)
class Built:
    """An image in the cache: `archive` is a docker-archive, `key` the hash of all that went into it."""

    image: Image
    key: str
    archive: Path


BERTH = Image(
    name="berth",
    containerfile="images/berth/Containerfile",
    root=REPOSITORY,
    files=(
        "images/berth",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "operator/berth_operator",
        "api/berth_api",
        "agent/berth_agent",
        "core/berth_core",
        "cli/berth_cli",
        "notifier/berth_notifier",
        "hub/berth_hub",
        "connector/berth_connector",
        "connector/berth_tunnel",
    ),
)
WORKSPACE = Image(
    name="berth-workspace", containerfile="Containerfile", root=REPOSITORY / "images" / "workspace", files=(".",)
)
VPN = Image(name="berth-vpn", containerfile="Containerfile", root=REPOSITORY / "images" / "vpn", files=(".",))
CI = Image(
    name="berth-ci", containerfile="images/ci/Containerfile", root=REPOSITORY, files=("images/ci", "ci/berth_ci")
)
PAUSE = Image(name="pause", containerfile="Containerfile", root=REPOSITORY / "images" / "pause", files=(".",))
ALL = (PAUSE, WORKSPACE, VPN, CI, BERTH)


def build_all() -> tuple[Built, ...]:
    """Build the images that the cache lacks, the sandbox's first."""
    return tuple(build(image) for image in ALL)


def build(image: Image) -> Built:
    """The image's archive, built where the cache does not have one of this content."""
    folder = cache_dir() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".context-", dir=folder) as scratch:
        context = Path(scratch) / "context"
        _stage(image, context)
        key = _key(context)
        built = Built(image=image, key=key, archive=folder / f"{image.name}-{key}.tar")
        with archives.alone(folder):
            if not built.archive.exists():
                require_space(folder, 2, "building images")
                base.ensure()
                with step(f"building image {image.name}"):
                    _build(built, context, Path(scratch))
                archives.prune(image.name, keep=built.archive, now=time.time())
            os.utime(built.archive)
    return built


def _stage(image: Image, context: Path) -> None:
    """Copy exactly the files that count, with one time on all of them."""
    for name in image.files:
        source, target = image.root / name, context / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=IGNORED, dirs_exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    for path in (context, *context.rglob("*")):
        os.utime(path, (FIXED_TIME, FIXED_TIME))


def _key(context: Path) -> str:
    digest = hashlib.sha256(f"{base.KEY} {platform.machine()}".encode())
    for path in sorted(path for path in context.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(context)}\0{path.stat().st_mode:o}\0".encode())
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _build(built: Built, context: Path, scratch: Path) -> None:
    image, options = built.image, []
    if image is PAUSE:
        run(["gcc", "-Os", "-static", "-o", context / "pause", context / "pause.c"])
        run(["strip", context / "pause"])
        os.utime(context / "pause", (FIXED_TIME, FIXED_TIME))
    if image is BERTH:
        options = [
            "-v",
            f"{wheels.folder()}:/wheels:ro",
            "--build-arg=PIP_FIND_LINKS=/wheels",
            "--build-arg=PIP_NO_INDEX=1",
        ]
    command = base.buildah("bud", "--isolation=chroot", "--pull=never", "--layers", "--format=docker")
    run([*command, *options, "-t", image.reference, "-f", context / image.containerfile, context], timeout=1800)
    packed = scratch / "image.tar"
    run(base.buildah("push", "--quiet", image.reference, f"docker-archive:{packed}:{image.reference}"))
    packed.rename(built.archive)
