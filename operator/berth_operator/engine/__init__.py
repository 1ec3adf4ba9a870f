"""Watches, caches, queues and writes objects, whatever their kind."""
