"""The base image `debian:bookworm-slim`, made with debootstrap: no registry is needed.

Images live in a storage of our own in the cache, so that the machine's other images are
neither used nor touched.
"""

import hashlib
import shutil
import tempfile
from pathlib import Path

from berth_dev.commands import run
from berth_dev.errors import ClusterError
from berth_dev.paths import cache_dir, require_space
from berth_dev.progress import step

NAME = "debian:bookworm-slim"
SUITE = "bookworm"
DROPPED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/lintian",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
)
KEY = hashlib.sha256(repr((NAME, SUITE, DROPPED, "security")).encode()).hexdigest()[:16]


def buildah(*words: str | Path) -> list[str]:
    """A buildah command on our own storage."""
    storage = cache_dir() / "images" / "storage"
    # The list of mounts must not survive a restart of the machine, so it is kept in /run.
    mounted = f"/run/berth-buildah-{hashlib.sha256(str(storage).encode()).hexdigest()[:8]}"
    return ["buildah", "--root", str(storage), "--runroot", mounted, *map(str, words)]


def ensure() -> None:
    """Make the base image where the storage does not have it."""
    marker = f"localhost/berth-base:{KEY}"
    if run(buildah("inspect", "--type", "image", marker), check=False).returncode == 0:
        return
    archive = cache_dir() / "images" / f"{SUITE}-{KEY}.tar"
    if not archive.exists():
        _bootstrap(archive)
    container = run(buildah("from", "scratch")).stdout.strip()
    run(buildah("add", "--quiet", container, archive, "/"))
    run(buildah("config", "--cmd", "bash", container))
    image = run(buildah("commit", "--quiet", "--rm", container, f"localhost/{NAME}")).stdout.strip()
    run(buildah("tag", image, marker))


def _bootstrap(archive: Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    require_space(archive.parent, 3, "building images")
    with (
        step(f"making the base image {NAME} with debootstrap"),
        tempfile.TemporaryDirectory(prefix=".base-", dir=archive.parent) as scratch,
    ):
        root, packed = Path(scratch) / "root", Path(scratch) / "base.tar"
        process = run(["debootstrap", "--variant=minbase", SUITE, root], check=False, timeout=1200)
        if process.returncode != 0:
            words = " / ".join(process.stdout.strip().splitlines()[-2:])
            raise ClusterError(f"debootstrap could not fetch {SUITE}: check the way to Debian's mirror ({words})")
        for folder in DROPPED:
            shutil.rmtree(root / folder, ignore_errors=True)
        for folder in ("var/log", "var/cache/apt/archives/partial", "var/lib/apt/lists/partial"):
            (root / folder).mkdir(parents=True)
        with (root / "etc/apt/sources.list").open("r+", encoding="utf-8") as sources:
            # debootstrap wrote `deb MIRROR SUITE main`; security updates stand beside it on every mirror.
            mirror = sources.read().split()[1].rstrip("/")
            sources.write(f"deb {mirror}-security {SUITE}-security main\n")
        run(["tar", "--numeric-owner", "-C", root, "-cf", packed, "."])
        packed.rename(archive)
