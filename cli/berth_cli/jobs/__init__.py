"""The chart's Jobs."""
