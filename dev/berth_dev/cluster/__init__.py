"""The two-node cluster on one machine, with Berth on it."""
