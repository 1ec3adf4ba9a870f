"""Pods as the operator reads and keeps them. Pure."""
