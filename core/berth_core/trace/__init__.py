"""Traces: the commits of a cluster, and whether each is a legal step of the lease protocol (ADR 0025).

``commits`` is the format, ``projection`` makes commits from Kubernetes objects, ``audit`` from an audit log, and
``judge`` finds the commits that the protocol does not allow. All of it is pure. The specification in ``spec/`` is
checked against it.
"""
