"""Traces: the commits of a cluster, and whether each is a legal step of the lease protocol (ADR 0025).

``commits`` is the format, ``projection`` makes commits of Kubernetes objects, ``audit`` of an audit log, and ``judge``
says which commits the protocol does not allow. All of it is pure. The specification in ``spec/`` is held against it.
"""
