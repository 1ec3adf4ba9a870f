"""Which wheels are fetched for the image: those that its Python asks for, whatever Python runs here."""

import pytest

from berth_dev.errors import ClusterError
from berth_dev.images import wheels

LINES = """\
# a comment
anyio==4.16.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via fastapi
async-timeout==5.0.1 ; python_full_version < '3.11.3' \\
    --hash=sha256:cc
deprecated==1.3.1 ; python_full_version < '3.12' \\
    --hash=sha256:dd
deprecated==3.0.1 ; python_full_version >= '3.12' \\
    --hash=sha256:ee
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:ff
"""


def test_markers_are_judged_for_the_image_and_not_for_this_python() -> None:
    assert wheels.wanted(LINES, "x86_64").splitlines() == [
        "anyio==4.16.0 --hash=sha256:aa --hash=sha256:bb",
        "async-timeout==5.0.1 --hash=sha256:cc",
        "deprecated==1.3.1 --hash=sha256:dd",
    ]


def test_a_marker_may_ask_for_the_machine() -> None:
    line = "uvloop==0.23.0 ; platform_machine == 'aarch64' --hash=sha256:aa\n"
    assert wheels.wanted(line, "aarch64") == "uvloop==0.23.0 --hash=sha256:aa\n"
    assert wheels.wanted(line, "x86_64") == ""


def test_what_is_no_requirement_is_named() -> None:
    with pytest.raises(ClusterError, match="not a requirement: '== 3'"):
        wheels.wanted("== 3\n", "x86_64")
