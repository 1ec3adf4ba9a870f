"""The lease of a deployment: taking it, giving it back, its epochs and the quotas of holders."""
