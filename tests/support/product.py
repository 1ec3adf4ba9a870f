"""``python tests/support/product.py`` prints a hash of the product's folders, so that a run is known by its tree."""

import hashlib
import subprocess
import sys
from pathlib import Path

FOLDERS = ("agent", "api", "charts", "ci", "cli", "core", "crds", "images", "notifier", "operator")
REPOSITORY = Path(__file__).resolve().parents[2]


def product(repository: Path = REPOSITORY) -> str:
    """Return 12 hexadecimal digits of the names and contents of files that git has or would take, as they are now."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", *FOLDERS]
    listed = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout
    digest = hashlib.sha256()
    for name in sorted(filter(None, listed.split("\0"))):
        if (path := repository / name).is_file():  # git has one that was removed until that is committed
            digest.update(f"{name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    sys.stdout.write(f"product {product()}\n")
