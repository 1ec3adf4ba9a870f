"""Properties of parsers: tried with a corpus, then with what hypothesis makes of it until the time is up.

FUZZ_SECONDS is the time of all properties together, FUZZ_SEED where the random ones begin.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import hypothesis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

CORPUS: Final = Path(__file__).parents[1] / "fuzz" / "corpus"
SECONDS: Final = float(os.environ.get("FUZZ_SECONDS", "15"))
SEED: Final = int(os.environ.get("FUZZ_SEED", "1"))
BATCH: Final = 100
CPU_SECONDS: Final = 5.0
"""Most that a parser may take for any input that is not refused for its length; other processes do not count."""
_properties: Final[list[str]] = []


def corpus(name: str) -> list[bytes]:
    """Inputs that once were wrong, or that are worth trying."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def mutated(name: str) -> st.SearchStrategy[bytes]:
    """Bytes: any, or pieces of the corpus put together anew."""
    seeds = corpus(name)
    pieces = st.one_of(
        st.sampled_from(seeds).flatmap(
            lambda whole: st.tuples(st.integers(0, len(whole)), st.integers(0, len(whole))).map(
                lambda cut: whole[min(cut) : max(cut)][:512]
            )
        ),
        st.binary(max_size=16),
        st.sampled_from([b"\0", b"\n", b"\r\n", b":", b'"', b"\xff", "\u00e4".encode(), b"9" * 400, b"[" * 100]),
    )
    return st.one_of(st.sampled_from(seeds), st.lists(pieces, max_size=6).map(b"".join), st.binary(max_size=200))


def texts(name: str) -> st.SearchStrategy[str]:
    """The same as text; now and then with what only a decoder of JSON or YAML makes."""
    return mutated(name).map(lambda data: data.decode("utf-8", "surrogateescape")) | st.text(
        st.characters(), max_size=60
    )


def fuzz(strategy: st.SearchStrategy[Any], *inputs: Any) -> Callable[[Callable[[Any], None]], Callable[[], None]]:
    """Make a test of a property: it holds for some inputs, and for whatever the strategy makes in its share of time."""

    def decorate(check: Callable[[Any], None]) -> Callable[[], None]:
        _properties.append(check.__name__)

        def test() -> None:
            until, seed = time.monotonic() + SECONDS / len(_properties), SEED
            chosen = settings(max_examples=BATCH, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            for one in inputs:
                check(one)
            while True:
                # hypothesis keeps what it knows of a test with it: each round has one of its own.
                round_ = given(strategy)(lambda one: check(one))
                if inputs:
                    round_ = example(inputs[0])(round_)
                hypothesis.seed(seed)(chosen(round_))()
                seed += 1
                if time.monotonic() >= until:
                    return

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate


@contextmanager
def in_time() -> Iterator[None]:
    """Fail where the work takes longer, on the processor, than any input may."""
    began = time.process_time()
    yield
    took = time.process_time() - began
    assert took < CPU_SECONDS, f"it took {took:.1f} s"
