"""The kernel's side: load a ruleset as one transaction, and read which one is in force."""

import subprocess
from typing import Final

from berth_agent.push import InForce, in_comment

TIMEOUT: Final = 5.0
"""Seconds. A load of 200 rules takes about 10 ms."""
_ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"}
_TABLE: Final = ("list", "table", "inet", "berth")


class NftError(Exception):
    """nft said no, or nothing in time; the ruleset before stays in force unless the kernel tells otherwise."""


def load(ruleset: str) -> None:
    """Put a ruleset in force: all of it, or NftError."""
    code, _, complaint = _run(("-f", "-"), ruleset)
    if code:
        raise NftError(complaint)


def in_force() -> InForce | None:
    """Ask the kernel; None where the table does not exist or is not Berth's. NftError when it cannot be asked."""
    code, listing, complaint = _run(("--stateless", *_TABLE))
    if code and "No such file or directory" in complaint:
        return None
    if code:
        raise NftError(complaint)
    return in_comment(listing)


def _run(arguments: tuple[str, ...], text: str = "") -> tuple[int, str, str]:
    try:
        process = subprocess.run(  # noqa: S603 (fixed arguments)
            ("nft", *arguments),  # noqa: S607 (its folder differs between systems; PATH is fixed)
            input=text,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            env=_ENVIRONMENT,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise NftError(f"nft did not answer within {TIMEOUT} s") from exc
    except OSError as exc:
        raise NftError(f"nft cannot be run: {exc}") from exc
    return process.returncode, process.stdout, process.stderr.strip()[:2000]
