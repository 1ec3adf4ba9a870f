"""``Idempotency-Key``: repeats a POST's first answer."""
