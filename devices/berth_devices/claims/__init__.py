"""Claims that are prepared on this node: which devices they have, their CDI files, their state on disk."""
