"""Reads of the cluster, from caches and live."""
