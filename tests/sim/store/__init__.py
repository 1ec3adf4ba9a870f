"""A fake of kube-apiserver and etcd: one linearizable object at the HTTP boundary. README.md says what it covers."""

from .history import Gone
from .store import Store

__all__ = ["Gone", "Store"]
