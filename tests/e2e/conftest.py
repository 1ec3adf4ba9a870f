"""The lab and the people in it."""
