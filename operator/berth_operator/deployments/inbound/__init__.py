"""Connections of machines to workspaces, by a Service that stands from lease to lease (ADR 0058)."""
