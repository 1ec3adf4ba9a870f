"""The lease of a deployment: taking it, giving it back, its epochs and the quota of its holders."""
