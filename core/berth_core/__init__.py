"""Shared parts of Berth's processes: names, typed resources, conditions, the cluster client, caches, leasing."""
