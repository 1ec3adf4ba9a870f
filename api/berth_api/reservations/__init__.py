"""Places in the queue: /reservations, /reservation."""
