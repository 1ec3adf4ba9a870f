"""``python3 -m berth_ci STEP``: one step of a build, or ``clone`` before a workspace."""

import sys
from collections.abc import Callable
from typing import Final

from berth_ci import artifacts, checkout, clone, credentials, fetch


def _credential() -> int:
    credentials.tell()
    return 0


STEPS: Final[dict[str, Callable[[], int]]] = {
    "fetch": fetch.main,
    "checkout": checkout.main,
    "artifacts": artifacts.main,
    "clone": clone.main,
    "credential": _credential,
}

if __name__ == "__main__":
    sys.exit(STEPS[sys.argv[1]]())
