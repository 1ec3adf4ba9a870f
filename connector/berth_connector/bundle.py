"""The connector as one file, which Python runs (zipapp): its packages and the libraries that they need.

The same versions give the same bytes everywhere, so that an administrator's command can name the file's SHA-256.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import os
import zipfile
from typing import Final

PACKAGES: Final = ("berth_connector", "berth_tunnel", "h2", "hpack", "hyperframe")
LIBRARIES: Final = ("h2", "hpack", "hyperframe")
_START: Final = b"#!/usr/bin/env python3\n"


def build() -> bytes:
    """Return the file. Raises ImportError where a package is missing."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as bundle:
        for name, content in sorted({**_sources(), **_licenses(), "__main__.py": _main()}.items()):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            bundle.writestr(entry, content)
    return _START + archive.getvalue()


def _main() -> bytes:
    return b"import sys\n\nfrom berth_connector.__main__ import main\n\nsys.exit(main())\n"


def _sources() -> dict[str, bytes]:
    """Return all modules by their names in the file."""
    sources = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ImportError(f"{package} is not installed")
        (root,) = spec.submodule_search_locations
        for folder, _, names in os.walk(root):
            for name in names:
                if name.endswith(".py"):
                    path = os.path.join(folder, name)
                    with open(path, "rb") as file:
                        sources[f"{package}/{os.path.relpath(path, root)}"] = file.read()
    return sources


def _licenses() -> dict[str, bytes]:
    """Return the libraries' licenses, which have to go with them."""
    texts = {}
    for library in LIBRARIES:
        for path in importlib.metadata.files(library) or ():
            if path.name == "LICENSE":
                with open(path.locate(), "rb") as file:
                    texts[f"licenses/{library}"] = file.read()
    return texts
