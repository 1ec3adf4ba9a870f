"""What Berth's processes share: names, typed resources, conditions, the cluster client, caches, leasing."""
