"""How much a test tries: all in `make test-all`, some of it in the gate."""

from collections.abc import Sequence
from typing import Any

import pytest
from promised import is_exact


def share(cases: int) -> int:
    """Return how many cases to draw: in the gate, where they stay the same, a quarter."""
    return cases if is_exact() else cases // 4


def but_first(*cases: Any, stay: int = 1) -> Sequence[Any]:
    """Leave parameters to `make test-all`, all but the first ones, which are their twins."""
    later = (case if isinstance(case, tuple) else (case,) for case in cases[stay:])
    return [*cases[:stay], *(pytest.param(*case, marks=pytest.mark.release) for case in later)]
