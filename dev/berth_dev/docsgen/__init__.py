"""Files that are made from others."""
