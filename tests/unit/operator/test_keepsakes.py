import base64
import hashlib

import orjson
import pytest

from berth_operator.keepsakes import unpacked

TARBALL = bytes(range(256)) * 40


def printed(header: object, content: bytes = TARBALL) -> bytes:
    lines = [base64.b64encode(content[start : start + 300]) for start in range(0, len(content), 300)]
    return b"\n".join([orjson.dumps(header), *lines]) + b"\n"


def header(content: bytes = TARBALL) -> dict[str, object]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_what_was_printed_is_what_was_packed() -> None:
    assert unpacked(printed(header())) == (len(TARBALL), header()["sha256"], TARBALL, "")


def test_nothing_is_nothing() -> None:
    assert unpacked(b"") == (0, "", b"", "")
    assert unpacked(b"{}\n") == (0, "", b"", "")
    assert unpacked(b'{"error": "too large"}\n') == (0, "", b"", "too large")


@pytest.mark.parametrize(
    "text",
    [
        printed(header())[:-400],
        printed(header() | {"sha256": "0" * 64}),
        printed(header())[400:],
        b"[]\n",
        b"Traceback (most recent call last):\n",
    ],
)
def test_a_part_of_it_is_none(text: bytes) -> None:
    size, _, packed, problem = unpacked(text)
    assert (size, packed) == (0, b"")
    assert problem.startswith("the artifacts came incomplete")
