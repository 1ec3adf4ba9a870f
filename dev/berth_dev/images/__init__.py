"""Images, built without a registry."""
