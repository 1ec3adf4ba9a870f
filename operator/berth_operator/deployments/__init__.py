"""The status of deployments and types, and whether machines are online."""
