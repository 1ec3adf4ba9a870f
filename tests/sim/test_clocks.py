"""No clock and no chance of the real world reaches what is simulated."""

import subprocess
import sys

from .playing import ROOT

LOOK = """
from tests.sim import clocks, product, sets
import datetime, sys, time
from tests.sim.loops import Scheduler, BEGIN, BOOTED
import tests.sim.loops as loops
real = set(map(id, clocks.real.values()))
kept = sorted(
    f"{name}.{word}"
    for name, module in list(sys.modules.items())
    if name.partition(".")[0] in clocks.PARTS
    for word, value in vars(module).items()
    if id(value) in real or value is datetime.datetime
)
assert not kept, kept
from berth_core import ids
from berth_core.kube.clock import StoreClock
from berth_operator.engine import clock
loop = loops.running = Scheduler("x").loop("p")
loop.skew = -40.0
assert time.monotonic() == BOOTED and time.time() == BEGIN.timestamp() - 40.0
slow = BEGIN + datetime.timedelta(seconds=-40)
assert clock.datetime.now(datetime.UTC) == slow and StoreClock().now() == slow and StoreClock().steady() == BOOTED
import random, secrets, uuid
def drawn():
    random.seed(3)
    return ids.uuid7(1), secrets.token_hex(4), str(uuid.uuid4())
assert drawn() == drawn()
print("fine")
"""


def test_every_clock_and_every_draw_of_the_product_is_the_simulation_s() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


def test_the_product_is_not_imported_before_its_clocks_are_replaced() -> None:
    command = "import berth_core.ids; import tests.sim.clocks"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "import tests.sim.clocks before berth_core" in done.stderr
