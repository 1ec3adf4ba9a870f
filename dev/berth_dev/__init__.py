"""Builds Berth's images, brings up clusters on one machine, and writes generated files."""
