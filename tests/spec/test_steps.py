"""The specification speaks of code that exists."""

import tomllib
from pathlib import Path

import pytest
from tests.sim.code_names import NoSuchCodeError, place_of

TABLE = Path(__file__).parents[2] / "spec" / "steps.toml"
STEPS = [
    (f"{module}.{step}", name)
    for module, steps in tomllib.loads(TABLE.read_text()).items()
    for step, name in steps.items()
    if not name.startswith("-")
]


@pytest.mark.parametrize(("step", "name"), STEPS)
def test_the_code_of_every_step_exists(step: str, name: str) -> None:
    assert place_of(name).qualified, f"{step} is a module"


@pytest.mark.parametrize("name", ["berth_operator.instances.starting.no_such_step", "berth_nowhere.starting.bind"])
def test_a_step_whose_code_is_gone_is_found(name: str) -> None:
    with pytest.raises(NoSuchCodeError):
        place_of(name)
