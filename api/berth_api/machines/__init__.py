"""Owners' machines: POST /deployment, PATCH and DELETE /deployment/:id."""
