"""Processes whose wall clock is wrong, by libfaketime; clocks that nobody sets stay as they are."""

import sysconfig
from pathlib import Path

LIBRARY = Path("/usr/lib", sysconfig.get_config_var("MULTIARCH") or "", "faketime", "libfaketime.so.1")
"""Of the Debian package `faketime`."""


def wrong_by(seconds: int) -> dict[str, str]:
    """Environment of a process whose clock is so much ahead, or behind."""
    assert LIBRARY.is_file(), f"{LIBRARY} is missing: `make prepare` installs the package faketime"
    return {"LD_PRELOAD": str(LIBRARY), "FAKETIME": f"{seconds:+}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
