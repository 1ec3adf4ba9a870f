"""Keeping an instance: /instance/:id/ka, /instance/:id/extend."""
