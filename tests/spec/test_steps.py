"""The specification speaks of code that exists."""

import importlib
import tomllib
from pathlib import Path

import pytest

TABLE = Path(__file__).parents[2] / "spec" / "steps.toml"
STEPS = [
    (f"{module}.{step}", name)
    for module, steps in tomllib.loads(TABLE.read_text()).items()
    for step, name in steps.items()
    if not name.startswith("-")
]


def found(name: str) -> object:
    """Return what a qualified name stands for, a class's method too."""
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            thing: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            thing = getattr(thing, part)
        return thing
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize(("step", "name"), STEPS)
def test_the_code_of_every_step_exists(step: str, name: str) -> None:
    assert callable(found(name))


@pytest.mark.parametrize("name", ["berth_operator.starting.no_such_step", "berth_nowhere.starting.bind"])
def test_a_step_whose_code_is_gone_is_found(name: str) -> None:
    with pytest.raises((AttributeError, ModuleNotFoundError)):
        found(name)
