"""Nonces in the names of Secrets (ADR 0024)."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from secrets import token_hex
from typing import TypeVar

from berth_core.kube.errors import ClusterError

K = TypeVar("K")
V = TypeVar("V")


def new_nonce() -> str:
    """Draw a nonce for names of Secrets: another one than anybody else draws, and none of the words in names."""
    return token_hex(4)


@contextmanager
def unused_where_unknown(nonces: MutableMapping[K, V], key: K) -> Iterator[None]:
    """Forget a drawn nonce where Secrets were sent under it and the answer did not come: the next try draws another.

    Such a create may still arrive when the lease is over. Under a name that a status knows it would let a late pod
    start (ADR 0024).
    """
    try:
        yield
    except ClusterError:  # of several writes the first failure is raised, whatever became of the others
        nonces.pop(key, None)
        raise
