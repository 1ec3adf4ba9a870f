"""Identity and rights of callers."""
