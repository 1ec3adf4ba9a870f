"""``python tests/support/product.py`` prints a hash of the product's folders, so that a run is known by its tree."""

import sys
from pathlib import Path

from berth_dev.checks.tree import tree
from berth_dev.paths import REPOSITORY

FOLDERS = ("agent", "api", "charts", "ci", "cli", "core", "crds", "devices", "images", "notifier", "operator")


def product(repository: Path = REPOSITORY) -> str:
    """Return 12 hexadecimal digits of the product's files, as they are now."""
    return tree(repository, *FOLDERS)


if __name__ == "__main__":
    sys.stdout.write(f"product {product()}\n")
