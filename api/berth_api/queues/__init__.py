"""Waiting times: /qlen."""
